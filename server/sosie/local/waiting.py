"""Waiting with a limit, and for as long as nobody asks to stop."""

import threading
import time
from collections.abc import Callable

from sosie.local.errors import StoppedError

PAUSE = 0.05
"""Seconds between two looks."""

Say = Callable[[str], None]
"""Tells people one line of what is going on."""


def be_silent(_line: str) -> None:
    """A Say that tells nobody."""


def wait_until(
    condition: Callable[[], bool], *, limit: float, stop: threading.Event | None = None, pause: float = PAUSE
) -> bool:
    """Whether the condition held within `limit` seconds. Raises StoppedError once `stop` is set."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= end:
            return False
        if stop is None:
            time.sleep(pause)
        elif stop.wait(pause):
            raise StoppedError
    return True
