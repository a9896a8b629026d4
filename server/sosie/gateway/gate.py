"""Which calls still come in, and which end, when the gateway stops.

grpc.aio's server answers what arrives while it stops, and what still waits in gRPC's core, with CANCELLED, which no
client takes for "ask another server". So the gate closes first. Calls that come then are held until every client was
told to connect elsewhere (GOAWAY), and are refused afterwards: a client that tries again does so on another connection.
"""

import asyncio
from types import TracebackType
from typing import Any

from sosie.engine.errors import EngineError

_TELL_LIMIT = 1.0  # seconds in which calls that were ended tell their callers


class ShuttingDownError(EngineError):
    """The gateway stops, and nothing was or will be done for this call."""


class Gate:
    """Counts the calls under way: `async with gate` holds one. Raises ShuttingDownError once it is closed."""

    def __init__(self) -> None:
        self._closed = False
        self._told = asyncio.Event()
        self._empty = asyncio.Event()
        self._calls: set[asyncio.Task[Any]] = set()
        self._cut = False
        self._moves = 0  # comings and goings

    async def __aenter__(self) -> None:
        self._moves += 1
        if self._closed:
            await self._told.wait()
            raise ShuttingDownError("the gateway is shutting down: connect anew")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- a coroutine runs in one
        self._calls.add(task)

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- as above
        self._calls.discard(task)
        self._moves += 1
        if self._closed and not self._calls:
            self._empty.set()
        if self._cut and isinstance(error, asyncio.CancelledError):
            task.uncancel()
            raise ShuttingDownError("the gateway is shutting down, and this call took too long") from error

    def close(self) -> None:
        """Lets nobody in any more, and holds who comes."""
        self._closed = True
        if not self._calls:
            self._empty.set()

    async def wait_quiet(self, quiet: float, timeout: float) -> None:
        """Until nobody has come or gone for `quiet` seconds, at most `timeout` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout
        moves = -1
        while moves != self._moves and asyncio.get_running_loop().time() < deadline:
            moves = self._moves
            await asyncio.sleep(quiet)

    def refuse(self) -> None:
        """Refuses those who are held and those who still come."""
        self._told.set()

    async def wait_empty(self, timeout: float) -> None:
        """Until all calls that were let in have ended; after `timeout` seconds those left are ended."""
        try:
            await asyncio.wait_for(self._empty.wait(), timeout)
        except TimeoutError:
            self._cut = True
            for task in self._calls:
                task.cancel()
            if self._calls:
                await asyncio.wait(self._calls, timeout=_TELL_LIMIT)
