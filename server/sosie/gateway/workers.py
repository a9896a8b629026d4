"""Several gateway processes on one port, started, watched, replaced and stopped as one.

Linux shares new connections out among the sockets of a port that have SO_REUSEPORT set. The parent serves nothing and
imports neither gRPC nor what stands on it: its workers are programs of their own, never forks of a process with
threads. A worker that dies is replaced, later each time; one that never listened, or that dies again and again, ends
the whole, so that whoever runs the gateway learns of it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import ExitStack

from sosie.gateway.settings import GatewaySettings, port_of

_LOG = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-m", "sosie.gateway.worker")
READY = b"listening\n"
"""What a worker says first on its standard output; until it ends, it goes on saying something."""
FAILED = b"failed: "
"""What it says instead where it cannot start, before the reason."""
BEAT = 2.0  # seconds between two words of a worker whose event loop turns

_SILENCE = 30.0  # seconds without a word after which a worker is taken for stuck
_START_LIMIT = 60.0  # seconds until a worker listens
_STEADY = 60.0  # seconds after which a worker's earlier deaths are forgotten
_DEATHS = 5  # in a row; the next one is the end
_PAUSE = 0.25  # seconds before the first replacement, twice as many before each further one
_STOP_MARGIN = 10.0  # seconds beyond what the settings give a worker to stop


class WorkerError(Exception):
    """The workers cannot be kept running; the message says why."""


def run_workers(settings: GatewaySettings) -> int:
    """Serves with `settings.workers` processes until SIGTERM or SIGINT: 0 after that, 1 where it could not go on.

    A second signal ends all of them at once. Raises OSError where the port is taken.
    """
    with ExitStack() as stack:
        address = reserve(settings.listen, stack)
        return asyncio.run(Workers(settings, address).run())


def reserve(address: str, stack: ExitStack) -> str:
    """Keeps a port for the workers until `stack` ends, and gives the address with it: 0 becomes a free one.

    Bound without SO_REUSEPORT it is refused where anybody has it already, another gateway's workers included; with
    the option set afterwards our own workers may bind it too. A socket that does not listen gets no connections.
    """
    host, port = address.rpartition(":")[0], port_of(address)
    try:
        for family, kind, protocol, _, place in socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            held = stack.enter_context(socket.socket(family, kind, protocol))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of before may linger
            held.bind((place[0], port, *place[2:]))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # or who sets it too could bind before we listen
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            port = held.getsockname()[1]
    except OSError as error:
        raise OSError(f"cannot listen on {address}: the port is taken, or the host is not this machine") from error
    return f"{host}:{port}"


class Workers:
    """The processes behind `address`, each of them `program` with its index and our PID."""

    def __init__(self, settings: GatewaySettings, address: str, program: Sequence[str] = PROGRAM) -> None:
        self._settings = settings
        self._address = address
        self._program = program
        self._stopping = asyncio.Event()
        self._running: set[Process] = set()
        self._listening: set[int] = set()

    async def run(self) -> int:
        """Keeps them running until a signal comes. The exit status: 1 where that failed or one had to be killed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        keepers = [loop.create_task(self._keep(index)) for index in range(self._settings.workers)]
        try:
            return int(not all(await asyncio.gather(*keepers)))
        except WorkerError as error:
            sys.stderr.write(f"sosie gateway: {error}\n")
            self._stopping.set()
            self._send(signal.SIGTERM)
            await asyncio.gather(*keepers, return_exceptions=True)
            return 1

    def _stop(self) -> None:
        if self._stopping.is_set():
            sys.stderr.write("sosie gateway: stopped at once\n")
            sys.stderr.flush()
            self._send(signal.SIGKILL)
            os._exit(1)
        self._stopping.set()
        self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, index: int) -> bool:
        """Has worker `index` running until all are stopped; whether it then ended as it should.

        Raises WorkerError where that cannot be done.
        """
        loop = asyncio.get_running_loop()
        deaths = 0
        while not self._stopping.is_set():
            began = loop.time()
            end, clean = await self._run_one(index)
            if self._stopping.is_set():
                return clean
            deaths = 1 if loop.time() - began >= _STEADY else deaths + 1
            if index not in self._listening:
                raise WorkerError(f"worker {index} cannot start: {end}")
            if deaths > _DEATHS:
                raise WorkerError(f"worker {index} ended {deaths} times in a row: {end}")
            pause = _PAUSE * 2 ** (deaths - 1)
            _LOG.error("worker %d %s; another takes its place in %g s", index, end, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
        return True

    async def _run_one(self, index: int) -> tuple[str, bool]:
        """Starts a worker and waits for its end: in words, and whether a worker that was told to stop ends so."""
        process = await asyncio.create_subprocess_exec(
            *self._program,
            str(index),
            str(os.getpid()),
            env=self._environment(),
            stdin=DEVNULL,
            stdout=PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal reaches only us, and they hear of it once
        )
        self._running.add(process)
        try:
            if self._stopping.is_set():
                process.terminate()
            reason = await self._follow(index, process)
            status = await process.wait()
        finally:
            self._running.discard(process)
        return reason or _describe(status), status in {0, -signal.SIGTERM}

    async def _follow(self, index: int, process: Process) -> str:
        """Reads what a worker says until it ends, and gives why it failed, if so. One that falls silent is killed."""
        assert process.stdout is not None  # noqa: S101 -- it was asked for
        waits = self._settings.balancer_wait + self._settings.grace
        said = b""
        try:
            async with asyncio.timeout(_START_LIMIT) as limit:
                said = await process.stdout.readline()
                if said == READY:
                    self._note_listening(index)
                    limit.reschedule(None)
                    while await asyncio.wait_for(process.stdout.read(64), _SILENCE):
                        if self._stopping.is_set() and limit.when() is None:
                            limit.reschedule(asyncio.get_running_loop().time() + waits + _STOP_MARGIN)
        except TimeoutError:
            process.kill()
            return "was killed, for it did not " + ("answer" if said else "start") + " in time"
        return said.removeprefix(FAILED).decode().strip() if said.startswith(FAILED) else ""

    def _note_listening(self, index: int) -> None:
        first = len(self._listening) < self._settings.workers
        self._listening.add(index)
        if first and len(self._listening) == self._settings.workers:
            _LOG.info("listening on %s with %d workers", self._address, self._settings.workers)

    def _environment(self) -> dict[str, str]:
        """This process's, with the settings as they were read at the start, so that all workers have the same."""
        known = {f"SOSIE_{name.upper()}" for name in type(self._settings).model_fields}
        settings = {**self._settings.model_dump(mode="json", exclude={"config"}), "listen": self._address}
        return {
            **{name: value for name, value in os.environ.items() if name.upper() not in known},
            **{f"SOSIE_{name.upper()}": str(value) for name, value in settings.items() if value is not None},
        }


def _describe(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
