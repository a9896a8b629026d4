"""Encoders and classifiers: what they promise.

Models describe themselves in the parameters of their config.pbtxt:

    parameter   in                       holds
    role        every model of sosie's   image_encoder, text_encoder or classifier
    space       both encoders            EmbeddingSpace.to_json()
    input       every model              ImageInput or TextInput as a JSON object
    label_set   classifiers              the set's name, e.g. imagenet
    labels      classifiers              a JSON array of the labels, in the order of the output

An image encoder takes `image` (uint8, [n, size, size, 3], RGB) and answers one output a part. A text encoder takes
`tokens` (int64, [n, length], padded as its TextInput says) and answers one output a part. A classifier takes `image`
and answers `probabilities` (float32, [n, labels]); further outputs are others' to ask for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from sosie.engine.space import EmbeddingSpace, Parts

Pictures = npt.NDArray[np.uint8]
"""Prepared pictures: uint8, shape [n, size, size, 3], RGB."""

Tokens = npt.NDArray[np.int64]
"""Tokenised sentences: int64, shape [n, length], padded as the model's TextInput says."""


@dataclass(frozen=True)
class ImageInput:
    """How a model wants its pictures: `size` pixels square, reached by `resize`.

    shortest: the shortest side is scaled to `size`, the middle is cut out. longest: the longest side is scaled to
    `size`, the rest filled with the colour of the picture's border. squash: both sides are scaled to `size`.
    """

    size: int
    resize: Literal["shortest", "longest", "squash"] = "shortest"


@dataclass(frozen=True)
class TextInput:
    """How a model wants its sentences: cut to `max_tokens`, padded to `pad_to` tokens if that is above 0.

    `tokenizer_sha256` is the digest of the tokenizer.json that it was made with, `cleaning` what is done to a sentence
    before (engine.text.CLEANINGS). The padding is made of `pad_id`, after the sentence or before it.
    """

    max_tokens: int
    tokenizer_sha256: str
    pad_to: int = 0
    cleaning: Literal["", "whitespace", "lower", "canonicalize"] = ""
    pad_id: int = 0
    pad_side: Literal["right", "left"] = "right"


class Encoder(Protocol):
    """Turns pictures and sentences into the parts of one embedding space."""

    @property
    def space(self) -> EmbeddingSpace: ...

    @property
    def image_input(self) -> ImageInput: ...

    @property
    def text_input(self) -> TextInput: ...

    @property
    def max_pictures(self) -> int:
        """The most that the server takes in one request; for more, it is asked several times at once."""
        ...

    @property
    def max_sentences(self) -> int:
        """The same for sentences."""
        ...

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        """[n, size] vectors of the parts that a picture fills, for any n.

        `timeout` is in seconds. Raises BackendUnavailableError, BackendOverloadedError, BackendTimeoutError and
        BackendError.
        """
        ...

    async def encode_texts(self, tokens: Tokens, *, timeout: float) -> Parts:
        """[n, size] vectors of the parts that a sentence fills; times and errors as for pictures."""
        ...


class Classifier(Protocol):
    """Scores the labels of one set against pictures."""

    @property
    def label_set(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def image_input(self) -> ImageInput: ...

    async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
        """[n, labels] probabilities; each row sums to 1. Times and errors as for an Encoder."""
        ...


@dataclass(frozen=True)
class ServedModel:
    """A model that a server has ready, and what it was run on since it was loaded.

    `serves` is the name of its embedding space or label set, `executions` how often it was run, by the number of rows:
    the server gathers the requests that it gets at a time.
    """

    name: str
    role: str
    serves: str
    executions: Mapping[int, int]


def blank_pictures(image_input: ImageInput, count: int = 1) -> Pictures:
    """Black pictures of the right size, for probes and warm-up."""
    return np.zeros((count, image_input.size, image_input.size, 3), np.uint8)
