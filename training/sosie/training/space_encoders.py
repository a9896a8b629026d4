"""Runs the encoders of an embedding space straight from a model repository's folder, without a server."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from sosie.engine.errors import BackendError
from sosie.engine.inference import ImageInput, Pictures, TextInput
from sosie.engine.space import EmbeddingSpace, Parts
from sosie.engine.text import Tokenizer
from sosie.training.errors import RepositoryError
from sosie.training.repository import CONFIG, GRAPH, read_entries
from sosie.training.sessions import open_session
from sosie.training.triton_config import read_parameters

SENTENCES = 32
"""That are encoded at a time."""


@dataclass(frozen=True)
class SpaceEncoders:
    """Both encoders of a space: the model folders `image` and `text` of `repository`."""

    repository: Path
    space: EmbeddingSpace
    image: str
    text: str
    image_input: ImageInput
    text_input: TextInput

    def open_image(self) -> onnxruntime.InferenceSession:
        """The image encoder: image uint8 [n, size, size, 3] -> the parts that a picture fills."""
        return _open(self.repository / self.image / GRAPH)

    def encode_sentences(self, sentences: Sequence[str]) -> Parts:
        """The parts that sentences fill, each [n, size]. Raises RepositoryError."""
        try:
            tokenizer = Tokenizer.find(self.repository, self.text_input)
        except BackendError as error:
            raise RepositoryError(str(error)) from error
        session = _open(self.repository / self.text / GRAPH)
        # Sentences of like length share a batch, so that little is spent on padding.
        order = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))
        found = []
        for start in range(0, len(order), SENTENCES):
            chosen = [sentences[place] for place in order[start : start + SENTENCES]]
            found.append(run(session, "tokens", tokenizer.encode(chosen)))
        back = np.argsort(order)
        return {name: np.concatenate([parts[name] for parts in found])[back] for name in found[0]} if found else {}


def find_encoders(repository: Path, name: str) -> SpaceEncoders:
    """The encoders of the space that the image encoder in the folder `name` speaks. Raises RepositoryError."""
    image = _read(repository, name, "image_encoder")
    space = EmbeddingSpace.from_json(image["space"])
    for text in _find(repository, "text_encoder", space.name):
        read = _read(repository, text, "text_encoder")
        accepted = ImageInput(**json.loads(image["input"])), TextInput(**json.loads(read["input"]))
        return SpaceEncoders(repository, space, name, text, *accepted)
    raise RepositoryError(f"{repository} holds no text encoder of the space {space.name} that {name} speaks")


def find_image_encoder(repository: Path, space: str) -> SpaceEncoders:
    """The encoders of the space of that name. Raises RepositoryError."""
    for name in _find(repository, "image_encoder", space):
        return find_encoders(repository, name)
    raise RepositoryError(f"{repository} holds no image encoder of the space {space}; `sosie models list` shows it all")


def run(session: onnxruntime.InferenceSession, name: str, values: object) -> Parts:
    """All outputs of a session by name, for its one input."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: values}), strict=True))


def encode_pictures(session: onnxruntime.InferenceSession, pictures: Pictures) -> Parts:
    """The parts of pictures [n, size, size, 3], each [n, size]."""
    return run(session, "image", pictures)


def _find(repository: Path, role: str, space: str) -> Iterator[str]:
    """The folders of a space's encoders."""
    for entry in read_entries(repository):
        if entry.role == role and entry.space is not None and entry.space.name == space:
            yield entry.name


def _read(repository: Path, name: str, role: str) -> dict[str, str]:
    """The parameters of a model folder that has this role."""
    try:
        parameters = read_parameters((repository / name / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise RepositoryError(f"{repository} holds no model {name}; `sosie models list` shows what it holds") from error
    if parameters.get("role") != role:
        raise RepositoryError(f"{repository / name} is no {role}, its role is {parameters.get('role', 'not said')}")
    return parameters


def _open(path: Path) -> onnxruntime.InferenceSession:
    try:
        return open_session(path.read_bytes())
    except OSError as error:
        raise RepositoryError(f"cannot read {path}: {error.strerror or error}") from error
