"""Who is worked on, who waits and who is refused.

Without a bound every caller of an overloaded service waits until its deadline and nobody is served: measured, goodput
falls to nothing at twice the capacity. With slots and a short queue the surplus is told at once to come back later, and
so is a call whose deadline comes before its answer would.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from sosie.engine.errors import BackendTimeoutError, EngineError

_SMOOTHING = 0.1  # weight of the newest call in the running mean of service times
_LEAST_RETRY = 0.05  # seconds: who is refused does not come back sooner


class OverloadedError(EngineError):
    """All slots are taken, and the queue is full or too long for the caller's deadline. `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("more calls than the gateway takes at once: try again later")
        self.retry_after = retry_after


class DeadlineTooShortError(EngineError):
    """The caller gives less time than calls of this kind take now, waiting not counted."""

    def __init__(self, seconds: float, usual: float) -> None:
        super().__init__(f"a deadline of {seconds * 1000:.0f} ms is too short, such calls take {usual * 1000:.0f} ms")


@dataclass(eq=False, frozen=True)
class _Waiter:
    turn: "asyncio.Future[None]"
    deadline: float  # of time.monotonic()


class Admission:
    """`slots` calls at once, `queue` more that wait, the rest refused. Bound to one event loop.

    What a call may expect is judged by the mean time of those before it. While none is under way that mean is not
    believed: else one slow minute would refuse short deadlines for ever, with nothing left to correct it.
    """

    def __init__(self, slots: int, queue: int) -> None:
        self._slots = slots
        self._queue = queue
        self._waiters: deque[_Waiter] = deque()
        self._mean_seconds = 0.0
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return len(self._waiters)

    @property
    def _is_free(self) -> bool:
        return self.in_flight < self._slots and not self._waiters

    def check(self, timeout: float) -> None:
        """Raises OverloadedError where the queue is full or its end is more than `timeout` seconds away.

        Raises DeadlineTooShortError where even a free slot would not help.
        """
        if self.in_flight and timeout < self._mean_seconds:
            raise DeadlineTooShortError(timeout, self._mean_seconds)
        if self._is_free:
            return
        expected = self._mean_seconds * (len(self._waiters) + 1) / self._slots
        if len(self._waiters) >= self._queue or timeout < expected + self._mean_seconds:
            raise OverloadedError(max(_LEAST_RETRY, expected))

    async def acquire(self, timeout: float) -> None:
        """Takes a slot, to be given back by `release`; calls that wait get one in the order in which they came.

        Raises at once what `check` raises, and BackendTimeoutError where a call that waited has too little time left
        when its turn comes.
        """
        self.check(timeout)
        if self._is_free:
            self.in_flight += 1
        else:
            await self._wait(timeout)

    def release(self, seconds: float) -> None:
        """Gives a slot back that was held for `seconds`."""
        self._mean_seconds += (_SMOOTHING if self._mean_seconds else 1.0) * (seconds - self._mean_seconds)
        self.in_flight -= 1
        self._hand_on()

    async def _wait(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), time.monotonic() + timeout)
        self._waiters.append(waiter)
        timer = loop.call_later(timeout, self._give_up, waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.in_flight -= 1  # it had its slot already, and goes away before it could use it
                self._hand_on()
            raise
        finally:
            timer.cancel()

    def _hand_on(self) -> None:
        """Gives free slots to those that wait; who has too little time left to be served is told so instead."""
        while self._waiters and self.in_flight < self._slots:
            waiter = self._waiters.popleft()
            if waiter.turn.done():
                continue
            if self.in_flight and waiter.deadline - time.monotonic() < self._mean_seconds:
                self._give_up(waiter)
                continue
            self.in_flight += 1
            waiter.turn.set_result(None)

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if not waiter.turn.done():
            waiter.turn.set_exception(BackendTimeoutError("the deadline passed while the call waited for its turn"))
