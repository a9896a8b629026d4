"""A TCP proxy that makes a network bad: it delays, throttles, holds back and resets."""

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sosie.local.ports import HOST

_CHUNK = 16 * 1024
_TICKS = 20  # pieces a second that a throttled direction is cut into
_QUEUED = 64  # chunks on their way in one direction, then the sender has to wait
_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time


@dataclass
class Direction:
    """What happens to bytes on their way; may be changed at any time.

    `delay` is in seconds, `rate` in bytes a second.
    """

    delay: float = 0.0
    rate: float | None = None


class Proxy:
    """Listens on a free port and passes what comes on to `target`, host:port.

    `there` leads to the target, `back` from it. `receive_buffer` bytes is what its sockets take from the target in
    advance: a client behind a small one reads slowly in earnest.
    """

    def __init__(self, target: str, *, receive_buffer: int | None = None) -> None:
        self.there, self.back = Direction(), Direction()
        self.connections = 0
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._receive_buffer = receive_buffer
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def hold(self) -> None:
        """Passes nothing on any more, in connections that stay open: a network that swallows everything."""
        self._passing.clear()

    def release(self) -> None:
        """Passes on again, first what was held back."""
        self._passing.set()

    def reset(self) -> None:
        """Breaks every connection off; new ones are taken."""
        for writer in self._writers:
            with contextlib.suppress(OSError):  # closed by then
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            writer.transport.abort()

    def refuse(self) -> None:
        """Breaks every connection off, and each new one at once."""
        self._refusing = True
        self.reset()

    def accept(self) -> None:
        """Takes new connections again."""
        self._refusing = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0, limit=_CHUNK, backlog=2048)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.release()
        self.reset()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            if not self._refusing:
                await self._connect(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = socket.socket()
        target.setblocking(False)
        if self._receive_buffer is not None:
            target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(target, (self._host, self._port))
        except OSError:
            target.close()
            return
        back_reader, back_writer = await asyncio.open_connection(sock=target, limit=self._receive_buffer or _CHUNK)
        self._writers.add(back_writer)
        try:
            with contextlib.suppress(OSError):
                async with asyncio.TaskGroup() as group:
                    pumps = [
                        group.create_task(self._pump(reader, back_writer, self.there)),
                        group.create_task(self._pump(back_reader, writer, self.back)),
                    ]
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                    for pump in pumps:
                        pump.cancel()
        except* OSError:
            pass
        finally:
            self._writers.discard(back_writer)
            back_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        """Passes bytes on until one side closes; a delay holds each chunk back, not the ones behind it once more."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED)

        async def read() -> None:
            chunk = b"-"
            while chunk:
                chunk = await reader.read(max(1, int((way.rate or _CHUNK * _TICKS) / _TICKS)))
                await queue.put((time.monotonic(), chunk))

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            while True:
                came, chunk = await queue.get()
                await asyncio.sleep(max(0.0, came + way.delay - time.monotonic()))
                await self._passing.wait()
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()
                if way.rate is not None:
                    await asyncio.sleep(len(chunk) / way.rate)
