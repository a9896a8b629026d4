"""A Triton model repository: a folder a model, with config.pbtxt and 1/model.onnx.

Triton takes every folder inside for a model, so what is not finished is written beside the repository and moved in.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sosie.engine.errors import BackendError
from sosie.engine.space import EmbeddingSpace
from sosie.training.errors import RepositoryError
from sosie.training.triton_config import HEADER, read_parameters

CONFIG = "config.pbtxt"
GRAPH = "1/model.onnx"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Model:
    """A model folder as it is to be: the contents of its files by their paths inside."""

    name: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Entry:
    """A model folder as it is found, as far as it describes itself.

    `space` is None for a classifier, `label_set` for all others. `size` is in bytes.
    """

    name: str
    role: str
    space: EmbeddingSpace | None
    labels: int
    size: int
    label_set: str | None = None


def write_models(repository: Path, models: Sequence[Model], *, force: bool = False) -> list[str]:
    """Brings model folders into a repository; returns the names of those that were written.

    A folder that already holds the same files is left alone, unless `force` is set. Each folder is moved into place
    whole. Raises RepositoryError, also where a folder of that name holds no model of sosie's and `force` is not set,
    and where another classifier there serves the same label set.
    """
    try:
        repository.mkdir(parents=True, exist_ok=True)
        changed = [model for model in models if force or not _holds(repository / model.name, model)]
        for model in changed:
            _check_replaceable(repository / model.name, force=force)
            label_set = read_parameters(model.files[CONFIG].decode()).get("label_set")
            if label_set is not None:
                check_label_set(repository, model.name, label_set)
        if changed:
            with tempfile.TemporaryDirectory(dir=repository.resolve().parent, prefix=".sosie-building-") as work:
                for model in changed:
                    _write(Path(work) / "new" / model.name, model)
                for model in changed:
                    _swap(Path(work), repository, model.name)
    except OSError as error:
        raise RepositoryError(f"cannot write to {repository}: {error}") from error
    return [model.name for model in changed]


def check_label_set(repository: Path, name: str, label_set: str) -> None:
    """Raises RepositoryError where another model than `name` serves the label set: the gateway refuses two."""
    entries = read_entries(repository) if repository.is_dir() else ()
    for entry in entries:
        if entry.label_set == label_set and entry.name != name:
            raise RepositoryError(
                f"{repository / entry.name} serves the label set {label_set} already; move that folder away, or build "
                "with another --label-set or --repository"
            )


def find_unbuilt(repository: Path) -> list[str]:
    """The names of the folders that hold a config but no weights."""
    folders = sorted(config.parent for config in repository.glob(f"*/{CONFIG}"))
    return [folder.name for folder in folders if not (folder / GRAPH).is_file()]


def read_entries(repository: Path) -> Iterator[Entry]:
    """The models of sosie's in a repository that have their weights, by name. Raises RepositoryError."""
    if not repository.is_dir():
        raise RepositoryError(f"{repository} is no folder; give the model repository with --repository")
    unbuilt = find_unbuilt(repository)
    for config in sorted(repository.glob(f"*/{CONFIG}")):
        if config.parent.name in unbuilt:
            continue
        try:
            parameters = read_parameters(config.read_text(encoding="utf-8"))
            if "role" in parameters:
                yield Entry(
                    name=config.parent.name,
                    role=parameters["role"],
                    space=EmbeddingSpace.from_json(parameters["space"]) if "space" in parameters else None,
                    labels=len(json.loads(parameters.get("labels", "[]"))),
                    size=sum(file.stat().st_size for file in config.parent.rglob("*") if file.is_file()),
                    label_set=parameters.get("label_set"),
                )
        except (OSError, ValueError, BackendError) as error:
            raise RepositoryError(f"cannot read {config}: {error}") from error


def _holds(folder: Path, model: Model) -> bool:
    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    return found == set(model.files) and all(
        _digest((folder / name).read_bytes()) == _digest(data) for name, data in model.files.items()
    )


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _check_replaceable(folder: Path, *, force: bool) -> None:
    if not folder.exists() or force:
        return
    config = folder / CONFIG
    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    if "role" not in read_parameters(text) and not text.startswith(HEADER):
        raise RepositoryError(f"{folder} holds something that sosie did not build; move it away, or add --force")


def _write(folder: Path, model: Model) -> None:
    for name, data in model.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _swap(work: Path, repository: Path, name: str) -> None:
    if (repository / name).exists():
        (work / "old").mkdir(exist_ok=True)
        (repository / name).rename(work / "old" / name)
    (work / "new" / name).rename(repository / name)
