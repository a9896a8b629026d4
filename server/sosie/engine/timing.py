"""Where the time of one question goes."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol


class StepObserver(Protocol):
    """Told of each step as it begins; what it gives is called as the step ends, with the error that ended it."""

    def __call__(self, step: str) -> Callable[[BaseException | None], None]: ...


class StepTimes:
    """Seconds by step, in the order in which the steps began; a step that comes again adds up."""

    __slots__ = ("_observer", "seconds")

    def __init__(self, observer: StepObserver | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._observer = observer

    def measure(self, step: str) -> "_Measured":
        """A context manager: the time within it counts for `step`."""
        return _Measured(self.seconds, step, self._observer)


class _Measured:
    """A class rather than a generator: a third of the time, several times a question."""

    __slots__ = ("_end", "_observer", "_seconds", "_start", "_step")

    def __init__(self, seconds: dict[str, float], step: str, observer: StepObserver | None) -> None:
        self._seconds = seconds
        self._step = step
        self._observer = observer

    def __enter__(self) -> None:
        self._seconds.setdefault(self._step, 0.0)
        if self._observer is not None:
            self._end = self._observer(self._step)
        self._start = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._seconds[self._step] += time.perf_counter() - self._start
        if self._observer is not None:
            self._end(error)
