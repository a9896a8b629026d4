"""How long questions wait in the gateways' queues: while that is too long, indexing stands back."""

import asyncio
import contextlib
import math
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

STEPS = "sosie_step_duration_seconds"
"""The gateway's histogram of which the step `wait` is the time in its queue."""

QUEUED = "sosie_queued"
"""Its gauge of the calls that wait now."""

EVERY = 1.0
"""Seconds between two looks."""

LONGEST_PAUSE = 60.0
"""Seconds that a request is held back at most: a gateway that is slow for other reasons stops no catalog for good."""

_FETCH_LIMIT = 5.0
_MAX_PAGE = 4 * 2**20


@dataclass(frozen=True)
class Reading:
    """What a gateway has counted when its metrics were read: seconds waited by how many calls, and calls waiting."""

    waited: float
    calls: float
    queued: float

    def queue_time(self, before: "Reading | None", interval: float) -> float:
        """Seconds that a call waited, the mean of those since `before`, `interval` seconds ago.

        Where none got its turn, those that wait have waited for all of it.
        """
        if before is None:
            return 0.0
        if self.calls < before.calls:  # it was started anew
            before = Reading(0.0, 0.0, 0.0)
        calls = self.calls - before.calls
        if calls:
            return (self.waited - before.waited) / calls
        return interval if self.queued else 0.0


class GatewayQueue:
    """A Gate that is closed while calls wait longer than `bound` seconds at any of the gateways.

    A gateway whose metrics cannot be read holds nothing back; `problem` then says why.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        bound: float,
        *,
        tell: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`addresses` are those of the gateways' metrics, http://host:port/metrics or host:port.

        `tell` is given a line for people whenever the gate closes or opens, and when a gateway cannot be read.
        """
        self._urls = [_complete(address) for address in addresses]
        self._bound = bound
        self._tell = tell
        self._clock = clock
        self._open = asyncio.Event()
        self._open.set()
        self._before: dict[str, tuple[float, Reading]] = {}
        self._closed_at = math.nan
        self._paused = 0.0
        self.queue_time = 0.0
        """Seconds, of the gateway where it is longest."""
        self.problem: str | None = None

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    @property
    def paused_seconds(self) -> float:
        """For how long it was closed."""
        return self._paused if self.is_open else self._paused + self._clock() - self._closed_at

    async def wait_until_open(self) -> None:
        """Waits for at most LONGEST_PAUSE."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._open.wait(), LONGEST_PAUSE)

    async def look(self) -> None:
        """Reads all gateways' metrics once."""
        problem = None
        longest = 0.0
        for url in self._urls:
            try:
                reading = read_metrics(await asyncio.to_thread(_fetch, url))
            except (OSError, ValueError) as error:
                problem = f"cannot read the gateway's metrics at {url}: {' '.join(str(error).split())}"
                self._before.pop(url, None)
                continue
            now = self._clock()
            then, before = self._before.get(url, (now, None))
            longest = max(longest, reading.queue_time(before, now - then))
            self._before[url] = (now, reading)
        self.queue_time = longest
        if problem and not self.problem:
            self._tell(f"{problem}: nothing waits for it")
        self.problem = problem
        self._turn(opened=longest <= self._bound)

    def release(self) -> None:
        """Opens it for good."""
        self._bound = math.inf
        self._turn(opened=True)

    def _turn(self, *, opened: bool) -> None:
        if opened and not self.is_open:
            self._paused += self._clock() - self._closed_at
            self._open.set()
            self._tell(f"goes on, after {self._paused:.0f} s in all that were left to questions")
        elif not opened and self.is_open:
            self._closed_at = self._clock()
            self._open.clear()
            self._tell(f"stands back: questions wait {self.queue_time:.2f} s in a gateway's queue")


@asynccontextmanager
async def watch_gateways(
    addresses: Sequence[str], bound: float, *, tell: Callable[[str], None] = lambda _: None, every: float = EVERY
) -> AsyncIterator[GatewayQueue]:
    """A gate that follows the gateways' queues for as long as the context lasts; `bound` and `every` are in seconds."""
    gate = GatewayQueue(addresses, bound, tell=tell)

    async def keep_looking() -> None:
        while True:
            await gate.look()
            await asyncio.sleep(every)

    task = asyncio.create_task(keep_looking()) if addresses else None
    try:
        yield gate
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        gate.release()


def read_metrics(page: str) -> Reading:
    """What a page in Prometheus' text format says of the queue. Raises ValueError where it is none of a gateway's."""
    families = {family.name: family.samples for family in text_string_to_metric_families(page)}
    if STEPS not in families:
        raise ValueError(f"there is no {STEPS}")
    waits = {sample.name: sample.value for sample in families[STEPS] if sample.labels.get("step") == "wait"}
    queued = sum(sample.value for sample in families.get(QUEUED, ()))
    return Reading(waits.get(f"{STEPS}_sum", 0.0), waits.get(f"{STEPS}_count", 0.0), queued)  # 0 before the first call


def _complete(address: str) -> str:
    url = address if "://" in address else f"http://{address}"
    return url if url.partition("://")[2].count("/") else f"{url}/metrics"


def _fetch(url: str) -> str:
    """Runs in a thread."""
    with urllib.request.urlopen(url, timeout=_FETCH_LIMIT) as page:  # noqa: S310 -- the operator's own address
        return str(page.read(_MAX_PAGE).decode())
