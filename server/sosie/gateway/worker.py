"""One of several gateway processes: `python -m sosie.gateway.worker INDEX PARENT_PID`, started by workers.py.

It dies with its parent, however that came about, and tells it on standard output how it fares.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys

from sosie.gateway.logs import start_logging
from sosie.gateway.settings import GatewaySettings, SettingsError
from sosie.gateway.workers import BEAT, FAILED, READY

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serves as its environment says. 0 after it was told to stop, 1 where it could not start."""
    index, parent = map(int, sys.argv[1:])
    _tether(parent)
    report = os.dup(sys.stdout.fileno())
    os.set_blocking(report, False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints goes to the log
    try:
        settings = GatewaySettings.load()
        start_logging(settings.log_format, worker=index)
        _serve(settings, index, report)
    except (OSError, SettingsError) as error:
        os.write(report, FAILED + str(error).encode() + b"\n")
        return 1
    return 0


def _serve(settings: GatewaySettings, index: int, report: int) -> None:
    from sosie.gateway.main import run  # noqa: PLC0415 -- tethered first: it takes a second

    beating: set[asyncio.Task[None]] = set()

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT)
            with contextlib.suppress(BlockingIOError):
                os.write(report, b".")

    def listening(_port: int) -> None:
        os.write(report, READY)
        beating.add(asyncio.get_running_loop().create_task(beat()))

    run(settings, worker=index, listening=listening)


def _tether(parent: int) -> None:
    """Has Linux kill this process when the parent's thread that started it ends."""
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the parent is gone")


if __name__ == "__main__":
    raise SystemExit(main())
