"""Trying again where Triton or Milvus is away for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sosie.engine.errors import BackendOverloadedError, BackendTimeoutError, BackendUnavailableError, EngineError

PASSING = (BackendUnavailableError, BackendOverloadedError, BackendTimeoutError)
"""Errors that may be gone a moment later."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Backoff:
    """At most `attempts` tries; the pauses between them double from `first` to `longest` seconds."""

    attempts: int = 8
    first: float = 0.5
    longest: float = 8.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the failed try of this number, counted from 1."""
        return float(min(self.longest, self.first * 2 ** (attempt - 1)))


class Retrier:
    """Makes calls again by one back-off, until `stopping` is set: then the next failure is the last."""

    def __init__(
        self, backoff: Backoff, stopping: asyncio.Event, note: Callable[[EngineError], None] = lambda _: None
    ) -> None:
        """`note` is told of each failure that is going to be tried again."""
        self._backoff = backoff
        self._stopping = stopping
        self._note = note

    @property
    def is_stopping(self) -> bool:
        """Whether `stopping` is set: nothing new should be begun."""
        return self._stopping.is_set()

    async def call(self, make: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """What `make()` answers. Raises its last error where no try succeeds, and at once any that will not pass."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await make()
            except PASSING as error:
                if attempt == self._backoff.attempts:
                    raise
                self._note(error)
                if await self.stops_within(self._backoff.pause(attempt)):
                    raise

    async def stops_within(self, seconds: float) -> bool:
        """Waits that long, or until `stopping` is set: then it is true."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
