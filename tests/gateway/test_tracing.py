"""Spans of calls, as a receiver of OTLP gets them, and what a model server is told of their trace."""

import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from canned_triton import CannedTriton, run_canned
from fakes import FAKE_SPACE
from gateway_shop import Shop, draw
from sosie.engine.errors import BackendUnavailableError, InputError
from sosie.engine.inference import Encoder
from sosie.engine.triton import TritonModels
from sosie.gateway import tracing as tracing_module
from sosie.gateway.errors import find_rule
from sosie.gateway.main import run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.gateway.telemetry import Telemetry
from sosie.gateway.tracing import Tracing, start_tracing
from sosie.local.ports import HOST, find_ports
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

TIMEOUT = 10.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACED = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "shop=1"), ("x-request-id", "one"))
NOT_TRACED = (("traceparent", f"00-{TRACE}-{PARENT}-00"),)
SERVICE = "sosie.v1.VisualSearchService"


@dataclass
class Receiver:
    """What a receiver of OTLP was sent; it answers with `status`."""

    endpoint: str
    status: int = 200
    requests: list[trace_service_pb2.ExportTraceServiceRequest] = field(default_factory=list)

    @property
    def spans(self) -> dict[str, trace_pb2.Span]:
        """By name."""
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces" and made.status == 200:
                made.requests.append(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
            self.send_response(made.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def triton() -> AsyncIterator[CannedTriton]:
    async with run_canned(CannedTriton()) as canned:
        yield canned


@pytest.fixture
async def encoder(triton: CannedTriton) -> AsyncIterator[Encoder]:
    models = await TritonModels.connect(triton.address, timeout=TIMEOUT)
    yield models.encoders[FAKE_SPACE.name]
    await models.close()


async def ask(
    tracing: Tracing | None, encoder: Encoder, metadata: tuple[tuple[str, str], ...], error: Exception | None = None
) -> None:
    """A question as the service answers one: a step of its own, and one that asks the model server."""
    observation = Telemetry(tracing=tracing).observe("SearchByText", metadata)
    with observation.steps.measure("tokenize"):
        tokens = np.ones((1, 3), np.int64)
    with observation.steps.measure("encode_text"):
        await encoder.encode_texts(tokens, timeout=TIMEOUT)
    observation.finish(find_rule(error).code if error else grpc.StatusCode.OK, error)


def attributes(span: trace_pb2.Span) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes}


async def test_a_trace_goes_through(receiver: Receiver, triton: CannedTriton, encoder: Encoder) -> None:
    """A call is a span of its caller's trace, its steps are that span's children, and Triton's part is its step's."""
    tracing = start_tracing(receiver.endpoint, sample=0)
    await ask(tracing, encoder, TRACED)
    tracing.close()
    spans = receiver.spans
    call = spans.pop(f"{SERVICE}/SearchByText")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
    assert call.kind == trace_pb2.Span.SPAN_KIND_SERVER
    assert call.trace_state == "shop=1"
    assert attributes(call) == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/SearchByText",
        "rpc.response.status_code": "OK",
        "sosie.request_id": "one",
    }
    assert set(spans) == {"tokenize", "encode_text"}
    for span in spans.values():
        assert (span.trace_id, span.parent_span_id) == (call.trace_id, call.span_id)
        assert call.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= call.end_time_unix_nano
    (told,) = triton.metadata
    assert told["traceparent"] == f"00-{TRACE}-{spans['encode_text'].span_id.hex()}-01"
    assert (told["tracestate"], told["x-request-id"]) == ("shop=1", "one")


async def test_a_call_without_a_trace(receiver: Receiver, triton: CannedTriton, encoder: Encoder) -> None:
    """A call whose caller names no trace begins one, for the share that is sampled."""
    tracing = start_tracing(receiver.endpoint, sample=1)
    await ask(tracing, encoder, ())
    tracing.close()
    call = receiver.spans[f"{SERVICE}/SearchByText"]
    assert not call.parent_span_id
    assert triton.metadata[0]["traceparent"].split("-")[1] == call.trace_id.hex()


@pytest.mark.parametrize(("sample", "metadata"), [(1, NOT_TRACED), (0, ())])
async def test_a_call_that_is_not_sampled(
    receiver: Receiver, triton: CannedTriton, encoder: Encoder, sample: float, metadata: tuple[tuple[str, str], ...]
) -> None:
    """A call that its caller, or the share, leaves out is not exported; what the caller decided is passed on."""
    tracing = start_tracing(receiver.endpoint, sample)
    await ask(tracing, encoder, metadata)
    tracing.close()
    assert receiver.requests == []
    assert triton.metadata[0].get("traceparent") == dict(metadata).get("traceparent")


async def test_without_tracing(triton: CannedTriton, encoder: Encoder) -> None:
    """Where no spans are made, the caller's trace is passed on as it came."""
    await ask(None, encoder, TRACED)
    assert {name: triton.metadata[0][name] for name, _ in TRACED} == dict(TRACED)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BackendUnavailableError("model 'secret'"), trace_pb2.Status.STATUS_CODE_ERROR),
        (InputError("sentence", "secret"), trace_pb2.Status.STATUS_CODE_UNSET),
    ],
)
async def test_errors(receiver: Receiver, encoder: Encoder, error: Exception, status: int) -> None:
    """An error is named by its reason, counts as the gateway's where it is, and its words stay out of the trace."""
    tracing = start_tracing(receiver.endpoint, sample=1)
    await ask(tracing, encoder, (), error)
    tracing.close()
    call = receiver.spans[f"{SERVICE}/SearchByText"]
    assert call.status.code == status
    assert attributes(call)["error.type"] == find_rule(error).reason
    assert "secret" not in str(receiver.requests)


async def test_a_step_that_fails(receiver: Receiver, triton: CannedTriton, encoder: Encoder) -> None:
    """The step in which a call failed says so, by the error's kind."""
    triton.hold()
    tracing = start_tracing(receiver.endpoint, sample=1)
    observation = Telemetry(tracing=tracing).observe("SearchByText", ())
    with pytest.raises(TimeoutError), observation.steps.measure("encode_text"):
        await encoder.encode_texts(np.ones((1, 3), np.int64), timeout=0.1)
    observation.finish(grpc.StatusCode.DEADLINE_EXCEEDED)
    tracing.close()
    step = receiver.spans["encode_text"]
    assert step.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert attributes(step) == {"error.type": "BackendTimeoutError"}


def test_a_receiver_that_is_away(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody receives spans, calls go on as ever and the log says it in one line."""
    monkeypatch.setattr(tracing_module, "_EXPORT_TIMEOUT", 0.2)  # else each batch is tried for 5 s
    tracing = start_tracing(f"http://{HOST}:{find_ports(otlp=0)['otlp']}", sample=1)
    telemetry = Telemetry(tracing=tracing)
    with caplog.at_level(logging.INFO):
        for _ in range(2000):
            telemetry.observe("SearchByText", ()).finish(grpc.StatusCode.OK)
        tracing._provider.force_flush()
        tracing.close()
    (record,) = caplog.records
    assert record.message.startswith("spans are lost")


def test_a_receiver_that_comes_back(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """When spans are taken again, the log says how many were lost."""
    tracing = start_tracing(receiver.endpoint, sample=1)
    telemetry = Telemetry(tracing=tracing)
    with caplog.at_level(logging.INFO):
        for status in (400, 400, 200):
            receiver.status = status
            telemetry.observe("SearchByText", ()).finish(grpc.StatusCode.OK)
            assert tracing._provider.force_flush()
    tracing.close()
    assert [record.message.partition(receiver.endpoint)[2] for record in caplog.records] == [
        " does not take them",
        ", 2 were lost",
    ]


def test_nothing_is_imported_unless_wanted() -> None:
    """A gateway without tracing does not load OpenTelemetry."""
    code = "import sys, sosie.gateway.main; sys.exit('opentelemetry' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_others_attributes(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is named in each export, and its name and attributes can be set as OpenTelemetry says."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "search-eu")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    tracing = start_tracing(receiver.endpoint, sample=1)
    Telemetry(tracing=tracing).observe("Classify", ()).finish(grpc.StatusCode.OK)
    tracing.close()
    resource: Any = receiver.requests[0].resource_spans[0].resource
    named = {pair.key: pair.value.string_value for pair in resource.attributes}
    assert (named["service.name"], named["deployment.environment.name"]) == ("search-eu", "test")


async def test_a_search_through_the_gateway(filled: Shop, settings: GatewaySettings, receiver: Receiver) -> None:
    """A gateway that is told where spans go exports those of a search, all steps below the call of its caller."""
    canned = CannedTriton(tokenizer_sha256=filled.encoder.text_input.tokenizer_sha256)
    async with run_canned(canned) as triton:
        backends = filled.behind_triton(triton.address)
        await backends.refresh()
        async with (
            run_gateway(settings.model_copy(update={"otlp": receiver.endpoint}), backends) as gateway,
            grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
        ):
            stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
            question = pb.SearchByImageRequest(image=pb.Image(data=draw("red", "shoe")), sentence="red")
            await stub.SearchByImage(question, metadata=TRACED, timeout=TIMEOUT)
    spans = receiver.spans
    call = spans.pop(f"{SERVICE}/SearchByImage")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
    assert set(spans) == {"wait", "decode", "encode_image", "tokenize", "encode_text", "search", "group"}
    assert {span.parent_span_id for span in spans.values()} == {call.span_id}
    told = [sent["traceparent"] for sent in triton.metadata if sent.get("x-request-id") == "one"]
    assert sorted(told) == sorted(
        f"00-{TRACE}-{spans[step].span_id.hex()}-01" for step in ("encode_image", "encode_text")
    )
