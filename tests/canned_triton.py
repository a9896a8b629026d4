"""A Triton in this process whose answers are made up: it notes what it is asked with, and can be held."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import grpc.aio
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from fakes import FAKE_SPACE
from sosie.engine.inference import ImageInput, TextInput
from sosie.engine.space import EmbeddingSpace, Part


class CannedTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # tritonclient has no types
    """Serves a pair of encoders of `space`, whose vectors all are ones.

    Inferences that are held wait for ever: `asked` is set when one began, `cancelled` when its caller took it back.
    """

    def __init__(self, space: EmbeddingSpace = FAKE_SPACE, tokenizer_sha256: str = "") -> None:
        self.address = ""
        self.metadata: list[dict[str, str]] = []
        """Of each inference."""
        self._held: Callable[[dict[str, str]], bool] = lambda metadata: False
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        text_input = TextInput(max_tokens=16, tokenizer_sha256=tokenizer_sha256)
        pictures = [part for part in space.parts if part.image_weight or part.name == space.label_part]
        sentences = [part for part in space.parts if part.text_weight]
        self._configs = {
            "canned_image": _describe("image_encoder", space, ImageInput(size=8), pictures),
            "canned_text": _describe("text_encoder", space, text_input, sentences),
        }

    def hold(self, request_id: str = "") -> None:
        """Holds from now on the inferences for this request; all of them where none is named."""
        self._held = lambda metadata: not request_id or metadata.get("x-request-id") == request_id

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        index = service_pb2.RepositoryIndexResponse()
        for name in self._configs:
            index.models.add(name=name, version="1", state="READY")
        return index

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self._configs[request.name])

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        metadata = dict(context.invocation_metadata())
        self.metadata.append(metadata)
        if self._held(metadata):
            self.asked.set()
            try:
                await asyncio.Future()
            finally:
                self.cancelled.set()
        rows = request.inputs[0].shape[0]
        reply = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
        for output in self._configs[request.model_name].output:
            reply.outputs.add(name=output.name, datatype="FP32", shape=[rows, *output.dims])
            reply.raw_output_contents.append(np.ones((rows, *output.dims), np.float32).tobytes())
        return reply

    async def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = service_pb2.ModelStatisticsResponse()
        for name in self._configs:
            statistics = answer.model_stats.add(name=name, version="1")
            for size, count in ((1, 5), (4, 2)):
                statistics.batch_stats.add(batch_size=size).compute_infer.count = count
        return answer


def _describe(role: str, space: EmbeddingSpace, takes: ImageInput | TextInput, parts: Sequence[Part]) -> Any:
    config = model_config_pb2.ModelConfig(max_batch_size=4)
    for name, value in (("role", role), ("space", space.to_json()), ("input", json.dumps(asdict(takes)))):
        config.parameters[name].string_value = value
    for part in parts:
        config.output.add(name=part.name, dims=[part.size])
    return config


@asynccontextmanager
async def run_canned(triton: CannedTriton) -> AsyncIterator[CannedTriton]:
    """Listens on a free port of loopback."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    triton.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield triton
    finally:
        await server.stop(None)
