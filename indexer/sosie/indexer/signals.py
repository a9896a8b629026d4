"""SIGINT and SIGTERM: how a run is asked to stop."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from sosie.indexer.running import Run


@contextmanager
def stop_on_signals(run: Run) -> Iterator[None]:
    """SIGINT and SIGTERM stop the run, and are listed; a second one ends the process at once, as it would any other."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int) -> None:
        run.signals.append(number)
        run.stop()
        for each in numbers:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        if not run.signals:
            for number in numbers:
                loop.remove_signal_handler(number)
