"""Encoders and classifiers behind a Triton server, over the KServe v2 protocol.

The only file that imports tritonclient.
"""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self, TypeVar

import grpc.aio
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2, service_pb2_grpc

from sosie.engine.errors import (
    BackendError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    EngineError,
)
from sosie.engine.inference import Classifier, Encoder, ImageInput, Pictures, TextInput, Tokens, blank_pictures
from sosie.engine.space import EmbeddingSpace, Parts


class TritonModels:
    """The models of sosie's that one Triton server has ready.

    Bound to the event loop that `connect` ran in. Replaced as a whole when the server's models change.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        encoders: Sequence[Encoder],
        classifiers: Sequence[Classifier],
        *,
        urgent: bool,
    ) -> None:
        self._channel = channel
        self._urgent = urgent
        self.encoders: Mapping[str, Encoder] = {encoder.space.name: encoder for encoder in encoders}
        """By the space's name."""
        self.classifiers: Mapping[str, Classifier] = {classifier.label_set: classifier for classifier in classifiers}
        """By the label set's name."""

    @classmethod
    async def connect(cls, address: str, *, timeout: float, urgent: bool = False) -> Self:
        """Asks the server at `host:port` for its models' self-descriptions.

        `urgent` puts what is asked through this connection before the rest in Triton's queues: questions go before
        indexing where the models' configs have priority levels.

        Raises BackendUnavailableError and BackendTimeoutError where it does not answer within `timeout` seconds, and
        BackendError where descriptions are missing, wrong or contradict each other.
        """
        channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        try:
            models = await _describe_models(channel, timeout, urgent=urgent)
            return cls(channel, _pair_encoders(models), _find_classifiers(models), urgent=urgent)
        except BaseException:
            await channel.close(None)
            raise

    async def again(self, *, timeout: float) -> Self:
        """What the same server has ready now, over the same connection. Raises as `connect` does."""
        models = await _describe_models(self._channel, timeout, urgent=self._urgent)
        return type(self)(self._channel, _pair_encoders(models), _find_classifiers(models), urgent=self._urgent)

    async def probe(self, *, timeout: float) -> None:
        """Makes every model answer a real inference; raises what the first to fail raised."""
        deadline = time.monotonic() + timeout
        for encoder in self.encoders.values():
            blank = blank_pictures(encoder.image_input)
            await encoder.encode_images(blank, timeout=deadline - time.monotonic())
            text_input = encoder.text_input
            tokens = np.full((1, text_input.pad_to or 1), 1 if text_input.pad_id != 1 else 0, np.int64)
            await encoder.encode_texts(tokens, timeout=deadline - time.monotonic())
        for classifier in self.classifiers.values():
            await classifier.classify(blank_pictures(classifier.image_input), timeout=deadline - time.monotonic())

    async def close(self) -> None:
        """Ends the connection, also of what `again` gave; requests under way get 5 seconds."""
        await self._channel.close(_CLOSING_GRACE)


_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A restarted server is found again within a second or two, not after gRPC's usual two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

_CLOSING_GRACE = 5.0  # seconds
_URGENT = 1  # Triton's highest priority; 0 leaves it to the model's config
_LENGTH_DELIMITED = 2  # protobuf's wire type of bytes

Outputs = dict[str, npt.NDArray[np.float32]]
"""By name, each [n, ...]."""

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class _Model:
    """One model behind Triton, with what its config says of it; `sizes` are the numbers in a row of each output."""

    name: str
    parameters: Mapping[str, str]
    sizes: Mapping[str, int]
    max_batch: int
    priority: int
    call: Callable[..., Awaitable[Any]]

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.sizes)

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
        """Outputs by name, [n, ...], of an input [n, ...], asked for in batches that the model takes."""
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
        return {output: np.concatenate([answer[output] for answer in answers]) for output in self.outputs}

    async def _infer_piece(self, name: str, piece: npt.NDArray[Any], timeout: float) -> Outputs:
        if timeout <= 0:
            raise BackendTimeoutError(f"no time was left to ask model {self.name!r}")
        head = _request_head(
            self.name, name, piece.dtype.name.upper(), piece.shape, self.outputs, priority=self.priority
        )
        try:
            reply = await self.call(head + np.ascontiguousarray(piece).tobytes(), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise _translate(error, f"model {self.name!r}") from error
        return self._read(reply, len(piece))

    def _read(self, reply: Any, rows: int) -> Outputs:
        found = {}
        for output, raw in zip(reply.outputs, reply.raw_output_contents, strict=True):
            values = np.frombuffer(raw, np.float32)
            size = self.sizes.get(output.name)
            if output.datatype != "FP32" or list(output.shape[:1]) != [rows] or values.size != rows * (size or 0):
                raise BackendError(
                    f"model {self.name!r}: output {output.name!r} is {output.datatype} {list(output.shape)}, "
                    f"its config promises FP32 [{rows}, {size}]"
                )
            found[output.name] = values.reshape(rows, -1)
        if set(found) != set(self.outputs):
            raise BackendError(f"model {self.name!r} answered {sorted(found)}, its config promises {self.outputs}")
        return found


@lru_cache(maxsize=512)
def _request_head(
    model: str, name: str, datatype: str, shape: tuple[int, ...], outputs: tuple[str, ...], *, priority: int
) -> bytes:
    """A ModelInferRequest without its tensor, which follows as it is.

    `raw_input_contents` is the message's last field, so the request is this head and the tensor's bytes. Building the
    whole message anew costs five times as much and copies the tensor.
    """
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    for output in outputs:
        request.outputs.add(name=output)
    if priority:
        request.parameters["priority"].uint64_param = priority
    size = math.prod(shape) * np.dtype(datatype.lower()).itemsize
    field_number = service_pb2.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER
    return bytes(request.SerializeToString() + _varint(field_number << 3 | _LENGTH_DELIMITED) + _varint(size))


def _varint(number: int) -> bytes:
    """Protobuf's variable-length integer: seven bits a byte, the lowest first, the top bit set on all but the last."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class TritonEncoder:
    """An Encoder whose two towers are models of one Triton server."""

    def __init__(self, space: EmbeddingSpace, image: _Model, text: _Model) -> None:
        self.space = space
        self.image_input = image.parse("input", lambda raw: ImageInput(**raw))
        self.text_input = text.parse("input", lambda raw: TextInput(**raw))
        self.text_model = text.name
        self._image = image
        self._text = text

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        return await self._image.infer("image", pictures, timeout=timeout)

    async def encode_texts(self, tokens: Tokens, *, timeout: float) -> Parts:
        return await self._text.infer("tokens", tokens, timeout=timeout)


class TritonClassifier:
    """A Classifier that is a model of a Triton server."""

    def __init__(self, model: _Model) -> None:
        self.label_set = model.parameter("label_set")
        self.labels: tuple[str, ...] = model.parse("labels", tuple)
        asked = {"probabilities": len(self.labels)}
        if not asked.items() <= model.sizes.items():
            raise BackendError(
                f"model {model.name!r} has {len(self.labels)} labels and the outputs {dict(model.sizes)}: it needs one "
                "named probabilities, of as many numbers"
            )
        self.image_input = model.parse("input", lambda raw: ImageInput(**raw))
        self._model = replace(model, sizes=asked)

    async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
        answer = await self._model.infer("image", pictures, timeout=timeout)
        return answer["probabilities"]


async def _describe_models(channel: grpc.aio.Channel, timeout: float, *, urgent: bool) -> list[_Model]:
    """The models that are ready and carry a `role`."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    call: Callable[..., Awaitable[Any]] = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=None,  # requests come as bytes, see _request_head
        response_deserializer=service_pb2.ModelInferResponse.FromString,
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
                models.append(_Model(entry.name, parameters, sizes, batch, _URGENT if urgent else 0, call))
    except grpc.aio.AioRpcError as error:
        raise _translate(error, "Triton") from error
    return models


def _pair_encoders(models: Sequence[_Model]) -> list[TritonEncoder]:
    """An encoder for each space that has both its towers ready."""
    towers: dict[tuple[str, str], _Model] = {}
    spaces: dict[str, EmbeddingSpace] = {}
    for model in models:
        role = model.parameter("role")
        if role in {"image_encoder", "text_encoder"}:
            space = EmbeddingSpace.from_json(model.parameter("space"))
            if (role, space.name) in towers:
                raise BackendError(
                    f"models {towers[role, space.name].name!r} and {model.name!r} are both the {role} of {space.name}"
                )
            if spaces.setdefault(space.name, space) != space:
                raise BackendError(f"the models of {space.name} describe it differently: build them again")
            _check_outputs(model, space)
            towers[role, space.name] = model
    return [
        TritonEncoder(space, towers["image_encoder", name], towers["text_encoder", name])
        for name, space in spaces.items()
        if ("image_encoder", name) in towers and ("text_encoder", name) in towers
    ]


def _check_outputs(model: _Model, space: EmbeddingSpace) -> None:
    """Raises BackendError unless a tower's outputs are parts of its space."""
    parts = {part.name: part.size for part in space.parts}
    if not model.sizes.items() <= parts.items():
        raise BackendError(
            f"model {model.name!r} has the outputs {dict(model.sizes)}, its space {space.name} the parts {parts}"
        )


def _find_classifiers(models: Sequence[_Model]) -> list[TritonClassifier]:
    classifiers = [TritonClassifier(model) for model in models if model.parameter("role") == "classifier"]
    names = [classifier.label_set for classifier in classifiers]
    if len(set(names)) < len(names):
        raise BackendError(f"several classifiers serve the same label set: {sorted(names)}")
    return classifiers


def _translate(error: grpc.aio.AioRpcError, what: str) -> EngineError:
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
