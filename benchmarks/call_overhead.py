"""What watching a call costs, and writing to Triton and reading its replies, each by itself.

    python benchmarks/call_overhead.py [--rounds N]

No server runs. Each part is timed a hundred times in a row, the parts in turns, and the best of the rounds is printed:
what others do on the machine only ever adds. Tensors are those of the bundle mini: a sentence's 16 tokens in, two parts
of 384 numbers out; a picture of 224 x 224 pixels in.
"""

import argparse
import io
import logging
import timeit
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import numpy as np
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tritonclient.grpc import service_pb2

from sosie.engine.timing import StepTimes
from sosie.engine.triton_wire import InferenceCodec
from sosie.gateway.logs import JsonFormatter
from sosie.gateway.telemetry import Telemetry
from sosie.gateway.tracing import Tracing

RUNS = 100
STEPS = ("wait", "tokenize", "encode_text", "search", "group")
PLAIN = (("user-agent", "grpc-python/1.85.1"), ("grpc-accept-encoding", "identity, deflate, gzip"))
TRACED = (
    *PLAIN,
    ("x-request-id", "7f3a9c"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)
SIZES = {"meaning": 384, "words": 384}
TOKENS = np.ones((1, 16), np.int64)
PIXELS = np.zeros((1, 224, 224, 3), np.uint8)


class QuickReceiver(SpanExporter):
    """Takes every span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def measure_steps(steps: StepTimes) -> None:
    for step in STEPS:
        with steps.measure(step):
            pass


def watch(telemetry: Telemetry, metadata: Any) -> None:
    """One call as the service has it watched."""
    observation = telemetry.observe("SearchByText", metadata)
    measure_steps(observation.steps)
    observation.finish(grpc.StatusCode.OK)


def write_by_protobuf(batch: Any) -> bytes:
    """The request without the codec."""
    request = service_pb2.ModelInferRequest(model_name="mini_text")
    request.inputs.add(name="input", datatype=batch.dtype.name.upper(), shape=batch.shape)
    for name in SIZES:
        request.outputs.add(name=name)
    request.parameters["priority"].uint64_param = 1
    request.raw_input_contents.append(batch.tobytes())
    written: bytes = request.SerializeToString()
    return written


def read_by_protobuf(reply: bytes) -> dict[str, Any]:
    """The reply without the codec."""
    response = service_pb2.ModelInferResponse.FromString(reply)
    return {
        output.name: np.frombuffer(raw, np.float32).reshape(output.shape)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def make_reply() -> bytes:
    reply = service_pb2.ModelInferResponse(model_name="mini_text", model_version="1")
    for name, size in SIZES.items():
        reply.outputs.add(name=name, datatype="FP32", shape=[1, size])
        reply.raw_output_contents.append(np.ones((1, size), np.float32).tobytes())
    written: bytes = reply.SerializeToString()
    return written


def name_parts() -> dict[str, Callable[[], object]]:
    plain, tracing = Telemetry(), Tracing(QuickReceiver(), 0.0)
    logged = Telemetry(log_sample=1)
    traced = Telemetry(tracing=tracing)
    codec, reply = InferenceCodec("mini_text", SIZES, priority=1), make_reply()
    return {
        "five steps' times alone": lambda: measure_steps(StepTimes()),
        "a call watched": lambda: watch(plain, PLAIN),
        "  with the caller's request id and trace": lambda: watch(plain, TRACED),
        "  with a line in the log": lambda: watch(logged, PLAIN),
        "  with tracing on, the call left out": lambda: watch(traced, PLAIN),
        "  with tracing on, the call traced": lambda: watch(traced, TRACED),
        "request of a sentence": lambda: codec.write("tokens", TOKENS),
        "  by protobuf": lambda: write_by_protobuf(TOKENS),
        "request of a picture": lambda: codec.write("image", PIXELS),
        "  by protobuf ": lambda: write_by_protobuf(PIXELS),
        "reply of a sentence": lambda: codec.read(reply, 1),
        "  by protobuf  ": lambda: read_by_protobuf(reply),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    parts = name_parts()
    best = dict.fromkeys(parts, float("inf"))
    for _ in range(rounds):
        for name, part in parts.items():
            best[name] = min(best[name], timeit.timeit(part, number=RUNS) / RUNS)
    for name, seconds in best.items():
        print(f"{name:42} {seconds * 1e6:6.1f} us")


if __name__ == "__main__":
    main()
