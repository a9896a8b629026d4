"""How many requests to have under way at one server: as many as keep it busy, and next to none that only wait there.

The rule is that of TCP Vegas (Brakmo, Peterson: TCP Vegas: End to End Congestion Avoidance on a Global Internet, 1995).
A request takes `base` seconds where nothing waits before it. Where `limit` of them under way take `mean` seconds each,

    waiting = limit * (1 - base / mean)

of them stand in the server's queue: the limit grows while that is too few to bridge the time until the next request
arrives, and shrinks where it is more than that needs. A refusal halves it.
"""

import math

FEW, MANY = 1.0, 3.0
"""Requests that should wait at the server: at least, and at most."""

MAX_LIMIT = 128
"""Half of what the models' configs let wait in Triton's queues."""

_START = 2
_ROUNDS_OF_A_BASE = 64


class Window:
    """The limit for one server, from the times that its answers take. No clock and no I/O."""

    def __init__(self, maximum: int = MAX_LIMIT) -> None:
        self._maximum = maximum
        self.limit = min(_START, maximum)
        """Requests, at least 1."""
        self.under_way = 0
        self._base = math.inf
        self._least = math.inf  # of the rounds since the base was found
        self._rounds = 0
        self._resumed = 0  # the limit to go back to when the queue has drained
        self._doubling = True
        self._full = False
        self._times: list[float] = []
        self._refusals_to_come = 0

    @property
    def has_room(self) -> bool:
        return self.under_way < self.limit

    @property
    def load(self) -> float:
        """Requests under way, as a share of the limit."""
        return self.under_way / self.limit

    def begin(self) -> None:
        """A request goes out."""
        self.under_way += 1
        self._full = self._full or not self.has_room

    def end(self) -> None:
        """It came back without telling anything of the server's speed."""
        self.under_way -= 1

    def succeed(self, seconds: float) -> None:
        """It was answered after so long."""
        self.end()
        self._refusals_to_come = max(0, self._refusals_to_come - 1)
        self._times.append(seconds)
        if len(self._times) >= self.limit + self._resumed:  # while it drains: those of before come back first
            self._end_round(self._times)
            self._times = []

    def refuse(self) -> None:
        """It was refused for want of room, or ran out of time: half as many from now on.

        Those that were under way with it may be refused too, for the same reason: they halve nothing again.
        """
        self.end()
        self._times = []
        self._doubling = False
        self._resumed = 0
        if self._refusals_to_come:
            self._refusals_to_come -= 1
            return
        self._refusals_to_come = self.under_way
        self.limit = max(1, self.limit // 2)

    def _end_round(self, times: list[float]) -> None:
        """As many answers as the limit are in."""
        self._base = min(self._base, *times)
        self._least = min(self._least, *times)
        if self._resumed:
            self.limit, self._resumed, self._full = self._resumed, 0, False
            return
        mean = sum(times) / len(times)
        waiting = self.limit * (1 - self._base / mean) if mean > 0 else 0.0
        full, self._full = self._full, not self.has_room
        if waiting >= FEW:
            self._doubling = False
        if waiting > MANY:
            self.limit -= 1
        elif waiting < FEW and full:  # one that was never reached says nothing of what lies beyond it
            self.limit = min(self._maximum, self.limit * 2 if self._doubling else self.limit + 1)
        self._rounds += 1
        if self._rounds >= _ROUNDS_OF_A_BASE:
            self._renew_base()

    def _renew_base(self) -> None:
        """Forgets a base of long ago, when the server or its neighbours may have been others.

        For one round the half of the requests drains the queue, so that the next base is not that of a full one.
        """
        self._base, self._least, self._rounds = self._least, math.inf, 0
        self._resumed = self.limit
        self.limit = max(1, min(self.limit, _START), self.limit // 2)
