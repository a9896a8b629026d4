"""Who is worked on, who waits and who is refused.

Without a bound every caller of an overloaded service waits until its deadline and nobody is served: measured, goodput
falls to nothing at twice the capacity. With slots and a short queue the surplus is told at once to come back later.
"""

import asyncio

from sosie.engine.errors import BackendTimeoutError, EngineError

_SMOOTHING = 0.1  # weight of the newest call in the running mean of service times


class OverloadedError(EngineError):
    """All slots are taken and the queue is full. `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("more calls than the gateway takes at once: try again later")
        self.retry_after = retry_after


class Admission:
    """`slots` calls at once, `queue` more that wait, the rest refused."""

    def __init__(self, slots: int, queue: int) -> None:
        self._slots = slots
        self._queue = queue
        self._free = asyncio.Semaphore(slots)
        self._mean_seconds = 0.1
        self.waiting = 0
        self.in_flight = 0

    async def acquire(self, timeout: float) -> None:
        """Takes a slot, to be given back by `release`.

        Raises OverloadedError at once where the queue is full, and BackendTimeoutError where no slot came free within
        `timeout` seconds.
        """
        if self._free.locked() and self.waiting >= self._queue:
            raise OverloadedError(self._mean_seconds * (self.waiting + 1) / self._slots)
        self.waiting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), timeout)
        except TimeoutError as error:
            raise BackendTimeoutError("the deadline passed while the call waited for its turn") from error
        finally:
            self.waiting -= 1
        self.in_flight += 1

    def release(self, seconds: float) -> None:
        """Gives a slot back that was held for `seconds`."""
        self.in_flight -= 1
        self._free.release()
        self._mean_seconds += _SMOOTHING * (seconds - self._mean_seconds)
