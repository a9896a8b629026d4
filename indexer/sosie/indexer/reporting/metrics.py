"""What Prometheus is told of a run that ended. All are gauges: each run says its own, and none goes on counting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

PREFIX = "sosie_index_"


@dataclass(frozen=True)
class Metric:
    """A gauge. `path` is where the report has its number, or its numbers by the value of `label`."""

    name: str
    help: str
    path: tuple[str, ...]
    label: str = ""


METRICS = (
    Metric("last_run_timestamp_seconds", "when the last run ended", ("ended",)),
    Metric("last_success_timestamp_seconds", "when a run last came to its end", ("last_success",)),
    Metric("success", "whether the last run came to its end, with no more rejects than allowed", ("success",)),
    Metric("exit_status", "with which the last run ended", ("exit_status",)),
    Metric("duration_seconds", "how long the last run took", ("seconds",)),
    Metric("products", "products that the catalog's valid lines list", ("products",)),
    Metric("pictures", "pictures of these products", ("pictures",)),
    Metric("indexed_pictures", "written with a vector that was made anew", ("indexed",)),
    Metric("shared_pictures", "of these, pictures that look the same as one that was encoded already", ("shared",)),
    Metric("rewritten_pictures", "written around the vector that the index had", ("rewritten",)),
    Metric("unchanged_pictures", "found as the catalog has them", ("unchanged",)),
    Metric("resumed_pictures", "of the unchanged ones those that a run which died had done", ("resumed",)),
    Metric("rejected", "what fell out, by kind: lines or pictures", ("rejected",), "kind"),
    Metric("pruned_rows", "rows that were deleted because the catalog no longer has them", ("pruned", "rows")),
    Metric("retries", "requests to Triton or Milvus that were tried again", ("retries",)),
    Metric("paused_seconds", "for which inference was left to a gateway's questions", ("encoders", "paused_seconds")),
    Metric("index_pending", "whether Milvus still built its index when the run ended", ("index_pending",)),
    Metric("pictures_per_second", "pictures that the run was through with, by its duration", ("pictures_per_second",)),
    Metric("time_share", "the share of the time waited for a step", ("time_share",), "step"),
)


def make_registry(report: Mapping[str, Any], collection: str) -> CollectorRegistry:
    """The metrics that a report has numbers for: of a run that could not begin these are few."""
    registry = CollectorRegistry()
    for metric in METRICS:
        numbers = list(_find_numbers(metric, report))
        if numbers:
            labels = ["collection", *([metric.label] if metric.label else [])]
            gauge = Gauge(PREFIX + metric.name, metric.help, labels, registry=registry)
            for values, number in numbers:
                gauge.labels(collection, *values).set(number)
    return registry


def _find_numbers(metric: Metric, report: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], float]]:
    found: Any = report
    for step in metric.path:
        found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping) and metric.label:
        yield from (((name,), float(value)) for name, value in found.items() if isinstance(value, (int, float)))
    elif isinstance(found, (int, float)):
        yield (), float(found)
