"""One model behind Triton: what its config says of it, and how it is asked."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import grpc.aio
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2, service_pb2_grpc

from sosie.engine import outgoing
from sosie.engine.awaiting import finish
from sosie.engine.errors import (
    BackendError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    EngineError,
)
from sosie.engine.triton_wire import InferenceCodec, Outputs

_URGENT = 1  # Triton's highest priority; 0 leaves it to the model's config

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class TritonModel:
    """A model that is ready; `sizes` are the numbers in a row of each output, `max_batch` the rows that it takes."""

    name: str
    parameters: Mapping[str, str]
    sizes: Mapping[str, int]
    max_batch: int
    priority: int
    call: Callable[..., Awaitable[bytes]]
    codec: InferenceCodec = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "codec", InferenceCodec(self.name, self.sizes, priority=self.priority))

    def only(self, sizes: Mapping[str, int]) -> Self:
        """The same model, asked for these outputs alone."""
        return replace(self, sizes=sizes)

    def parameter(self, name: str) -> str:
        try:
            return self.parameters[name]
        except KeyError:
            raise BackendError(f"model {self.name!r}: its config.pbtxt lacks the parameter {name!r}") from None

    def parse(self, name: str, build: Callable[[Any], _Parsed]) -> _Parsed:
        """What `build` makes of a parameter that holds JSON."""
        text = self.parameter(name)
        try:
            return build(json.loads(text))
        except (ValueError, TypeError) as error:
            raise BackendError(f"model {self.name!r}: its parameter {name!r} is wrong: {error}") from error

    async def infer(self, name: str, batch: npt.NDArray[Any], *, timeout: float) -> Outputs:
        """Outputs by name, [n, ...], of an input [n, ...], asked for in batches that the model takes.

        A task that is cancelled takes its requests back out of Triton's queue.
        """
        starts = range(0, len(batch), self.max_batch)
        pieces = [batch[start : start + self.max_batch] for start in starts]
        if len(pieces) == 1:
            return await self._infer_piece(name, pieces[0], timeout)
        try:
            async with asyncio.TaskGroup() as group:  # one that fails takes the others back out of Triton's queue
                asking = [group.create_task(self._infer_piece(name, piece, timeout)) for piece in pieces]
        except* EngineError as failures:
            raise failures.exceptions[0] from failures
        answers = [task.result() for task in asking]
        return {output: np.concatenate([answer[output] for answer in answers]) for output in self.sizes}

    async def _infer_piece(self, name: str, piece: npt.NDArray[Any], timeout: float) -> Outputs:
        if timeout <= 0:
            raise BackendTimeoutError(f"no time was left to ask model {self.name!r}")
        request = self.codec.write(name, piece)
        try:
            reply = await finish(self.call(request, timeout=timeout, metadata=outgoing.METADATA.get() or None))
        except grpc.aio.AioRpcError as error:
            raise translate(error, f"model {self.name!r}") from error
        return self.codec.read(reply, len(piece))


async def describe_models(channel: grpc.aio.Channel, timeout: float, *, urgent: bool) -> list[TritonModel]:
    """The models that are ready and carry a `role`. Raises as TritonModels.connect does."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    call: Callable[..., Awaitable[bytes]] = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=None,  # both are bytes, see triton_wire
        response_deserializer=None,
    )
    deadline = time.monotonic() + timeout
    models = []
    try:
        index = await stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True), timeout=timeout)
        for entry in index.models:
            request = service_pb2.ModelConfigRequest(name=entry.name)
            answer = await stub.ModelConfig(request, timeout=max(0.0, deadline - time.monotonic()))
            config = answer.config
            parameters = {name: value.string_value for name, value in config.parameters.items()}
            if "role" in parameters:
                sizes = {output.name: math.prod(output.dims) for output in config.output}
                batch = max(1, config.max_batch_size)
                models.append(TritonModel(entry.name, parameters, sizes, batch, _URGENT if urgent else 0, call))
    except grpc.aio.AioRpcError as error:
        raise translate(error, "Triton") from error
    return models


async def count_executions(
    channel: grpc.aio.Channel, models: Sequence[TritonModel], timeout: float
) -> dict[str, dict[int, int]]:
    """How often Triton ran each of the models since it loaded it, by the number of rows. Raises as describe_models."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    try:
        answer = await stub.ModelStatistics(service_pb2.ModelStatisticsRequest(), timeout=timeout)
    except grpc.aio.AioRpcError as error:
        raise translate(error, "Triton") from error
    counts: dict[str, dict[int, int]] = {model.name: {} for model in models}
    for statistics in answer.model_stats:
        for batch in statistics.batch_stats:
            if statistics.name in counts:
                executions = counts[statistics.name]
                executions[batch.batch_size] = executions.get(batch.batch_size, 0) + batch.compute_infer.count
    return counts


def translate(error: grpc.aio.AioRpcError, what: str) -> EngineError:
    """A failed call to Triton in the engine's words."""
    code, details = error.code(), error.details() or ""
    message = f"{what}: {details}"
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return BackendTimeoutError(message)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED or "Exceeds maximum queue size" in details:
        return BackendOverloadedError(message)
    # A model whose process died answers INTERNAL until it is loaded again, and NOT_FOUND while it is loaded.
    lost = code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND}
    if lost or "Stub process" in details:
        return BackendUnavailableError(message)
    return BackendError(message)
