"""What Prometheus sees of the gateway."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sosie.engine.timing import StepTimes

# Seconds, closest around the half second that a caller is promised.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.5, 5.0, 10.0)


class Telemetry:
    """The gateway's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sosie_requests", "Calls answered, by method and gRPC code.", ["method", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "sosie_request_seconds", "Time of a call.", ["method"], buckets=_BUCKETS, registry=self.registry
        )
        self._steps = Histogram(
            "sosie_step_seconds", "Time of a call's step.", ["step"], buckets=_BUCKETS, registry=self.registry
        )
        self.in_flight = Gauge("sosie_in_flight", "Calls worked on now.", ["method"], registry=self.registry)
        self.queued = Gauge("sosie_queued", "Calls that wait for a slot now.", ["method"], registry=self.registry)
        self.serving = Gauge("sosie_serving", "1 while searches can be answered.", registry=self.registry)

    def count(self, method: str, code: str, seconds: float, steps: StepTimes) -> None:
        """Notes one call that was answered, or refused, after `seconds`."""
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)
        for step, step_seconds in steps.seconds.items():
            self._steps.labels(step).observe(step_seconds)
