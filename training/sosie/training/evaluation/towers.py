"""Opens the models of a repository as they are on the disk, without a server."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from sosie.engine.errors import BackendError
from sosie.engine.inference import ImageInput, Pictures
from sosie.engine.space import EmbeddingSpace, Parts
from sosie.training import space_encoders
from sosie.training.errors import RepositoryError
from sosie.training.heads import Floats
from sosie.training.repository import CONFIG, GRAPH, Entry, read_entries
from sosie.training.sessions import open_session
from sosie.training.triton_config import read_parameters


@dataclass(frozen=True)
class Towers:
    """Both encoders of one embedding space."""

    encoders: space_encoders.SpaceEncoders
    image: onnxruntime.InferenceSession

    @property
    def space(self) -> EmbeddingSpace:
        return self.encoders.space

    @property
    def image_input(self) -> ImageInput:
        return self.encoders.image_input

    def encode_pictures(self, pictures: Pictures) -> Parts:
        """The parts [n, size] that n prepared pictures fill."""
        return space_encoders.encode_pictures(self.image, pictures)

    def encode_sentences(self, sentences: Sequence[str]) -> Parts:
        """The parts [n, size] that n sentences fill. Raises RepositoryError."""
        with _told(self.encoders.repository / self.encoders.text):
            return self.encoders.encode_sentences(sentences)


@dataclass(frozen=True)
class ClassifierModel:
    """A classifier: `labels` are in the order of its output."""

    name: str
    label_set: str
    labels: tuple[str, ...]
    image_input: ImageInput
    session: onnxruntime.InferenceSession

    def classify(self, pictures: Pictures) -> Floats:
        """Probabilities [n, labels]."""
        probabilities: Floats = self.session.run(["probabilities"], {"image": pictures})[0]
        return probabilities


def open_towers(repository: Path, name: str | None = None) -> Towers:
    """The encoders of the space `name`, or of the only one that has its weights in the repository.

    Raises RepositoryError where there is no such space, several, or one of its models cannot be used.
    """
    spaces = {entry.space.name for entry in _read_built(repository) if entry.space}
    if name is not None and name not in spaces:
        raise RepositoryError(f"{repository} holds no space {name!r}, only {_listed(spaces)}")
    if not spaces:
        raise RepositoryError(f"{repository} holds no encoders; first: sosie models build mini")
    if name is None and len(spaces) > 1:
        raise RepositoryError(f"{repository} holds several spaces: choose one with --space: {_listed(spaces)}")
    chosen = name or min(spaces)
    with _told(repository):
        encoders = space_encoders.find_image_encoder(repository, chosen)
    with _told(repository / encoders.image):
        return Towers(encoders, encoders.open_image())


def open_classifiers(repository: Path, label_sets: Sequence[str], names: Sequence[str] = ()) -> list[ClassifierModel]:
    """The classifiers of some label sets, or those of some names. Raises RepositoryError where a name is none."""
    found = {entry.name: entry for entry in _read_built(repository) if entry.role == "classifier"}
    for name in names:
        if name not in found:
            raise RepositoryError(f"{repository} holds no classifier {name!r}, only {_listed(found)}")
    models = []
    for entry in found.values():
        with _told(repository / entry.name):
            parameters = read_parameters((repository / entry.name / CONFIG).read_text(encoding="utf-8"))
            label_set = parameters["label_set"]
            if entry.name in names if names else label_set in label_sets:
                models.append(
                    ClassifierModel(
                        entry.name,
                        label_set,
                        tuple(json.loads(parameters["labels"])),
                        ImageInput(**json.loads(parameters["input"])),
                        open_session((repository / entry.name / GRAPH).read_bytes()),
                    )
                )
    return models


def _read_built(repository: Path) -> list[Entry]:
    """Committed configs may stand there without the weights that are built beside them."""
    return [entry for entry in read_entries(repository) if (repository / entry.name / GRAPH).is_file()]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Says of which model it is that a file is missing or wrong."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, BackendError) as error:
        raise RepositoryError(f"cannot use the model {folder}: {_first_line(error)}") from error
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):  # its errors share no class that it exports
            raise
        raise RepositoryError(f"cannot open the graph of {folder}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return text.strip().partition("\n")[0]
