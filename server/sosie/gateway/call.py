"""One call under way: when it must end, its turn and where its time goes."""

import time
from types import TracebackType
from typing import Self

from sosie.engine.errors import BackendTimeoutError
from sosie.engine.inference import ImageInput, Pictures
from sosie.engine.timing import StepTimes
from sosie.gateway.admission import Admission

# Kept back from the caller's time so that an answer, or a clear error, still reaches it.
_MARGIN_SHARE = 0.05
_MAX_MARGIN = 0.1  # seconds


class Call:
    """A call that its caller gives `seconds`. It holds a slot while it is entered: `async with call`."""

    def __init__(self, seconds: float, admission: Admission, steps: StepTimes) -> None:
        self.steps = steps
        self.pictures: dict[ImageInput, Pictures] = {}
        """The call's one picture, prepared as each model that was asked wants it."""
        self._admission = admission
        self._began = 0.0
        self._deadline = time.monotonic() + seconds - min(_MAX_MARGIN, seconds * _MARGIN_SHARE)

    def left(self) -> float:
        """Seconds until an answer is due. Raises BackendTimeoutError where none are left."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise BackendTimeoutError("the deadline passed")
        return seconds

    def check(self) -> None:
        """Raises what keeps the call from a slot already now: most of what is too much is refused so, unread."""
        self._admission.check(self.left())

    async def __aenter__(self) -> Self:
        """Takes a slot; raises as Admission.acquire."""
        with self.steps.measure("wait"):
            await self._admission.acquire(self.left())
        self._began = time.monotonic()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._admission.release(time.monotonic() - self._began)
