"""What is counted of calls, kept as plain numbers and turned into metrics when Prometheus asks.

prometheus_client's own counters and histograms lock and check at each step: a call with five steps would spend 8 us in
them, here it is 2. All counting is done in one thread, that of the event loop. Prometheus is answered in another, which
may see a histogram's count before its sum: both are right at the next look.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

# Seconds, closest around the half second that a caller is promised.
CALL_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.5, 5.0, 10.0)
# Tokenizing takes a tenth of a millisecond, waiting for a slot up to the deadline.
STEP_BOUNDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)


class Durations:
    """A histogram of seconds; `bounds` are the upper ends of its buckets, in ascending order."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def write(self, family: HistogramMetricFamily, label: str) -> None:
        """Adds itself to a family as the series of `label`."""
        seen = 0
        buckets = []
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            seen += count
            buckets.append((bound, seen))
        family.add_metric([label], buckets, self._total)


class MethodCounts:
    """What is counted of one method's calls: how they ended, why they were refused, and the time of those answered."""

    __slots__ = ("codes", "durations", "refusals")

    def __init__(self, codes: Iterable[str], refusals: Iterable[str]) -> None:
        self.codes = dict.fromkeys(codes, 0)
        self.refusals = dict.fromkeys(refusals, 0)
        self.durations = Durations(CALL_BOUNDS)


class CallMetrics(Collector):
    """The metrics of all calls. Each series is there from the start, at 0: a rate needs the first one's predecessor."""

    def __init__(
        self, methods: Iterable[str], codes: Sequence[str], refusals: Sequence[str], steps: Iterable[str]
    ) -> None:
        self.methods: Mapping[str, MethodCounts] = {method: MethodCounts(codes, refusals) for method in methods}
        self._steps = {step: Durations(STEP_BOUNDS) for step in steps}

    def add_steps(self, seconds: Mapping[str, float]) -> None:
        """Counts the time of one call's steps."""
        for step, taken in seconds.items():
            if step not in self._steps:
                self._steps[step] = Durations(STEP_BOUNDS)
            self._steps[step].add(taken)

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        requests, refused, durations, steps = self._families()
        for method, counts in self.methods.items():
            for code, count in counts.codes.items():
                requests.add_metric([method, code], count)
            for reason, count in counts.refusals.items():
                refused.add_metric([method, reason], count)
            counts.durations.write(durations, method)
        for step, taken in list(self._steps.items()):
            taken.write(steps, step)
        return requests, refused, durations, steps

    def _families(
        self,
    ) -> tuple[CounterMetricFamily, CounterMetricFamily, HistogramMetricFamily, HistogramMetricFamily]:
        return (
            CounterMetricFamily("sosie_requests", "Calls that ended, by gRPC code.", labels=["method", "code"]),
            CounterMetricFamily("sosie_refused", "Calls refused before any work.", labels=["method", "reason"]),
            HistogramMetricFamily(
                "sosie_request_duration_seconds", "Time of a call that was answered.", labels=["method"]
            ),
            HistogramMetricFamily("sosie_step_duration_seconds", "Time of a step.", labels=["step"]),
        )
