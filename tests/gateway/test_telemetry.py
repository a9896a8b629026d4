"""What Prometheus reads of the gateway."""

import asyncio
import re
from collections.abc import Iterable
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from fakes import FakeStore
from gateway_shop import Shop
from sosie.engine import outgoing
from sosie.engine.errors import InputError
from sosie.engine.inference import ServedModel
from sosie.engine.store import Match
from sosie.gateway.admission import OverloadedError
from sosie.gateway.errors import RULES, find_rule
from sosie.gateway.main import Gateway
from sosie.gateway.telemetry import METHODS, REFUSALS, STEPS, Telemetry
from sosie.v1 import visual_search_pb2 as pb

MODELS = [
    ServedModel("mini_image", "image_encoder", "mini-1", {1: 10, 3: 2, 100: 1}),
    ServedModel("imagenet", "classifier", "imagenet", {}),
]


@pytest.fixture
def telemetry() -> Telemetry:
    made = Telemetry()
    made.note_models(MODELS, "mini-1")
    return made


def read(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def families(telemetry: Telemetry) -> Iterable[Metric]:
    """The metrics as Prometheus reads them."""
    return text_string_to_metric_families(generate_latest(telemetry.registry).decode())


def find_fault(metric: Metric) -> str | None:
    """What `promtool check metrics` would say of a metric: its rules of names, units and types."""
    name = metric.name
    words = set(name.split("_"))
    if not metric.documentation:
        return "no help text"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return "no lower-case name of letters, digits and _"
    if words & {
        "milliseconds",
        "microseconds",
        "minutes",
        "hours",
        "ms",
        "sec",
        "kilobytes",
        "megabytes",
        "mb",
        "percent",
    }:
        return "no base unit"
    if words & {"gauge", "counter", "histogram", "summary", "total" if metric.type != "counter" else ""}:
        return "its type in its name"
    if metric.type != "histogram" and name.endswith(("_count", "_sum", "_bucket")):
        return "a histogram's suffix"
    return None


def test_names(telemetry: Telemetry) -> None:
    """Names keep Prometheus' conventions, and those of the gateway's own metrics begin with its name."""
    found = list(families(telemetry))
    assert {metric.name: find_fault(metric) for metric in found if find_fault(metric)} == {}
    assert {metric.name.partition("_")[0] for metric in found} == {"sosie", "process"}
    samples = {sample.name for metric in found if metric.type == "counter" for sample in metric.samples}
    assert all(name.endswith("_total") for name in samples)


def test_labels_are_bounded(telemetry: Telemetry) -> None:
    """Whatever callers send, no new series comes of it."""
    before = generate_latest(telemetry.registry).count(b"\n")
    for number in range(50):
        observation = telemetry.observe("Classify", [("x-request-id", f"{number}"), ("other", f"{number}")])
        observation.finish(grpc.StatusCode.INVALID_ARGUMENT, InputError(f"weights[{number}]", "is wrong"), f"{number}")
    assert generate_latest(telemetry.registry).count(b"\n") == before


def test_a_call_is_counted(telemetry: Telemetry) -> None:
    """A call counts by its method and code, with its time and that of its steps."""
    observation = telemetry.observe("SearchByText", ())
    for step in ("wait", "tokenize", "encode_text", "tokenize"):
        with observation.steps.measure(step):
            pass
    observation.finish(grpc.StatusCode.OK)
    assert read(telemetry, "sosie_requests_total", method="SearchByText", code="OK") == 1
    assert read(telemetry, "sosie_request_duration_seconds_count", method="SearchByText") == 1
    assert read(telemetry, "sosie_step_duration_seconds_count", step="tokenize") == 1
    assert read(telemetry, "sosie_step_duration_seconds_count", step="encode_text") == 1
    assert read(telemetry, "sosie_step_duration_seconds_count", step="search") == 0


def test_the_objective_is_a_bucket(telemetry: Telemetry) -> None:
    """How many calls were answered within half a second can be read exactly; one that was refused at once is none."""
    telemetry.observe("Classify", ()).finish(grpc.StatusCode.OK)
    telemetry.observe("Classify", ()).finish(grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError(1.0))
    assert read(telemetry, "sosie_request_duration_seconds_bucket", method="Classify", le="0.5") == 1


def test_every_code_of_the_table_is_there_from_the_start(telemetry: Telemetry) -> None:
    """Each method has each code that the table of errors knows, at 0: a rate needs the first error's predecessor."""
    codes = {"OK", "CANCELLED", find_rule(RuntimeError()).code.name, *(rule.code.name for rule in RULES.values())}
    for method in METHODS:
        assert [read(telemetry, "sosie_requests_total", method=method, code=code) for code in codes] == [0] * len(codes)
        assert {read(telemetry, "sosie_refused_total", method=method, reason=reason) for reason in REFUSALS} == {0}


def test_refusals_are_of_the_table() -> None:
    """What counts as a refusal is a reason of the table of errors."""
    assert set(REFUSALS) <= {rule.reason for rule in RULES.values()}


def test_a_refusal(telemetry: Telemetry) -> None:
    """A call that was refused before any work counts by its reason; one that failed for another does not."""
    for error in (OverloadedError(1.0), InputError("image", "is missing")):
        telemetry.observe("Classify", ()).finish(find_rule(error).code, error)
    assert read(telemetry, "sosie_refused_total", method="Classify", reason="OVERLOADED") == 1
    assert (
        sum(read(telemetry, "sosie_refused_total", method="Classify", reason=reason) or 0 for reason in REFUSALS) == 1
    )


def test_models(telemetry: Telemetry) -> None:
    """Space and models are named, and the batches that the model server ran are a histogram of their rows."""
    assert read(telemetry, "sosie_space_info", space="mini-1") == 1
    assert read(telemetry, "sosie_model_info", model="imagenet", role="classifier", serves="imagenet") == 1
    buckets = {"1.0": 10, "2.0": 10, "4.0": 12, "64.0": 12, "+Inf": 13}
    found = {le: read(telemetry, "sosie_batch_size_bucket", model="mini_image", le=le) for le in buckets}
    assert found == buckets
    assert read(telemetry, "sosie_batch_size_sum", model="mini_image") == 116
    assert read(telemetry, "sosie_batch_size_count", model="imagenet") == 0
    telemetry.note_models([], "")
    assert read(telemetry, "sosie_space_info", space="mini-1") is None


def test_process(telemetry: Telemetry) -> None:
    """Processor time, memory and open files of the process stand beside the gateway's own."""
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
        assert (read(telemetry, name) or 0) > 0


def test_texts(telemetry: Telemetry) -> None:
    """Sentences count as known or asked for."""
    telemetry.count_texts(3, 1)
    assert read(telemetry, "sosie_text_cache_lookups_total", result="hit") == 3
    assert read(telemetry, "sosie_text_cache_lookups_total", result="miss") == 1


async def test_backends_are_told_of_the_call(telemetry: Telemetry) -> None:
    """What a call asks of the backends carries its names, and no other call's."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def answer(*metadata: tuple[str, str]) -> outgoing.Metadata:
        telemetry.observe("Classify", metadata)
        await asyncio.sleep(0)
        return outgoing.METADATA.get()

    traced, plain, unnamed = await asyncio.gather(
        *(
            answer(("x-request-id", "one"), ("traceparent", trace), ("tracestate", "a=1")),
            answer(("x-request-id", "two")),
            answer(("user-agent", "shop")),
        )
    )
    assert traced == (("x-request-id", "one"), ("traceparent", trace), ("tracestate", "a=1"))
    assert plain == (("x-request-id", "two"),)
    assert unnamed == ()


async def test_steps_of_a_search(gateway: Gateway, stub: Any) -> None:
    """Every step of a search that the answer names is one that is known, so that its metric is there from the start."""
    answer = await stub.SearchByText(pb.SearchByTextRequest(sentence="green hat"))
    assert {step.step for step in answer.step_times} <= set(STEPS)
    for step in answer.step_times:
        assert read(gateway.telemetry, "sosie_step_duration_seconds_count", step=step.step) == 1
    assert read(gateway.telemetry, "sosie_requests_total", method="SearchByText", code="OK") == 1


async def test_a_cancelled_call(filled: Shop, gateway: Gateway, stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose caller went away counts as cancelled."""
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def search(*_: object, **__: object) -> list[Match]:
        asked.set()
        try:
            return await asyncio.Future()
        finally:
            cancelled.set()

    monkeypatch.setattr(FakeStore, "search", search)
    call = stub.SearchByText(pb.SearchByTextRequest(sentence="green hat"))
    await asyncio.wait_for(asked.wait(), 10)
    call.cancel()
    await asyncio.wait_for(cancelled.wait(), 10)
    assert read(gateway.telemetry, "sosie_requests_total", method="SearchByText", code="CANCELLED") == 1
    assert read(gateway.telemetry, "sosie_step_duration_seconds_count", step="search") == 1
