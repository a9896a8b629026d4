"""Encoders and classifiers behind a Triton server, over the KServe v2 protocol."""

from collections.abc import Mapping, Sequence
from typing import Self

import grpc.aio
import numpy as np
import numpy.typing as npt

from sosie.engine.errors import BackendError
from sosie.engine.inference import (
    Classifier,
    Encoder,
    ImageInput,
    Pictures,
    ServedModel,
    TextInput,
    Tokens,
)
from sosie.engine.probing import Health, probe
from sosie.engine.space import EmbeddingSpace, Parts
from sosie.engine.triton_model import TritonModel, count_executions, describe_models

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A restarted server is found again within a second or two, not after gRPC's usual two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

_CLOSING_GRACE = 5.0  # seconds


class TritonModels:
    """The models of sosie's that one Triton server has ready.

    Bound to the event loop that `connect` ran in. Replaced as a whole when the server's models change.
    """

    def __init__(self, channel: grpc.aio.Channel, models: Sequence[TritonModel], *, urgent: bool) -> None:
        """Raises BackendError where the models contradict each other."""
        self._channel = channel
        self._models = models
        self._urgent = urgent
        self.encoders: Mapping[str, Encoder] = {encoder.space.name: encoder for encoder in _pair_encoders(models)}
        """By the space's name."""
        self.classifiers: Mapping[str, Classifier] = {
            classifier.label_set: classifier for classifier in _find_classifiers(models)
        }
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
            return cls(channel, await describe_models(channel, timeout, urgent=urgent), urgent=urgent)
        except BaseException:
            await channel.close(None)
            raise

    async def again(self, *, timeout: float) -> Self:
        """What the same server has ready now, over the same connection. Raises as `connect` does."""
        models = await describe_models(self._channel, timeout, urgent=self._urgent)
        return type(self)(self._channel, models, urgent=self._urgent)

    async def probe(self, *, timeout: float) -> Health:
        """Makes every model answer a real inference."""
        return await probe(self.encoders, self.classifiers, timeout=timeout)

    async def statistics(self, *, timeout: float) -> list[ServedModel]:
        """What Triton ran each of its models on since it loaded them. Raises as `connect` does."""
        executions = await count_executions(self._channel, self._models, timeout)
        return [
            ServedModel(model.name, model.parameter("role"), _serves(model), executions[model.name])
            for model in self._models
        ]

    async def close(self) -> None:
        """Ends the connection, also of what `again` gave; requests under way get 5 seconds."""
        await self._channel.close(_CLOSING_GRACE)


class TritonEncoder:
    """An Encoder whose two towers are models of one Triton server."""

    def __init__(self, space: EmbeddingSpace, image: TritonModel, text: TritonModel) -> None:
        self.space = space
        self.image_input = image.parse("input", lambda raw: ImageInput(**raw))
        self.text_input = text.parse("input", lambda raw: TextInput(**raw))
        self.text_model = text.name
        self.max_pictures = image.max_batch
        self.max_sentences = text.max_batch
        self._image = image
        self._text = text

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        return await self._image.infer("image", pictures, timeout=timeout)

    async def encode_texts(self, tokens: Tokens, *, timeout: float) -> Parts:
        return await self._text.infer("tokens", tokens, timeout=timeout)


class TritonClassifier:
    """A Classifier that is a model of a Triton server."""

    def __init__(self, model: TritonModel) -> None:
        self.label_set = model.parameter("label_set")
        self.labels: tuple[str, ...] = model.parse("labels", tuple)
        asked = {"probabilities": len(self.labels)}
        if not asked.items() <= model.sizes.items():
            raise BackendError(
                f"model {model.name!r} has {len(self.labels)} labels and the outputs {dict(model.sizes)}: it needs one "
                "named probabilities, of as many numbers"
            )
        self.image_input = model.parse("input", lambda raw: ImageInput(**raw))
        self._model = model.only(asked)

    async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
        answer = await self._model.infer("image", pictures, timeout=timeout)
        return answer["probabilities"]


def _pair_encoders(models: Sequence[TritonModel]) -> list[TritonEncoder]:
    """An encoder for each space that has both its towers ready."""
    towers: dict[tuple[str, str], TritonModel] = {}
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


def _check_outputs(model: TritonModel, space: EmbeddingSpace) -> None:
    """Raises BackendError unless a tower's outputs are parts of its space."""
    parts = {part.name: part.size for part in space.parts}
    if not model.sizes.items() <= parts.items():
        raise BackendError(
            f"model {model.name!r} has the outputs {dict(model.sizes)}, its space {space.name} the parts {parts}"
        )


def _find_classifiers(models: Sequence[TritonModel]) -> list[TritonClassifier]:
    classifiers = [TritonClassifier(model) for model in models if model.parameter("role") == "classifier"]
    names = [classifier.label_set for classifier in classifiers]
    if len(set(names)) < len(names):
        raise BackendError(f"several classifiers serve the same label set: {sorted(names)}")
    return classifiers


def _serves(model: TritonModel) -> str:
    """The name of a model's label set or embedding space."""
    if model.parameter("role") == "classifier":
        return model.parameter("label_set")
    return EmbeddingSpace.from_json(model.parameter("space")).name
