"""Where the time of one question goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StepTimes:
    """Seconds by step, in the order in which the steps began; a step that comes again adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        self.seconds.setdefault(step, 0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] += time.perf_counter() - start
