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
from sosie.training.triton_config import read_parameters

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
    """A model folder as it is found, as far as it describes itself; `space` is None for a classifier."""

    name: str
    role: str
    space: EmbeddingSpace | None
    labels: int
    size: int


def write_models(repository: Path, models: Sequence[Model], *, force: bool = False) -> list[str]:
    """Brings model folders into a repository; returns the names of those that were written.

    A folder that already holds the same files is left alone, unless `force` is set. Each folder is moved into place
    whole. Raises RepositoryError, also where a folder of that name holds no model of sosie's and `force` is not set.
    """
    try:
        repository.mkdir(parents=True, exist_ok=True)
        changed = [model for model in models if force or not _holds(repository / model.name, model)]
        for model in changed:
            _check_replaceable(repository / model.name, force=force)
        if changed:
            with tempfile.TemporaryDirectory(dir=repository.resolve().parent, prefix=".sosie-building-") as work:
                for model in changed:
                    _write(Path(work) / "new" / model.name, model)
                for model in changed:
                    _swap(Path(work), repository, model.name)
    except OSError as error:
        raise RepositoryError(f"cannot write to {repository}: {error}") from error
    return [model.name for model in changed]


def read_entries(repository: Path) -> Iterator[Entry]:
    """The models of sosie's in a repository, by name. Raises RepositoryError."""
    if not repository.is_dir():
        raise RepositoryError(f"{repository} is no folder; give the model repository with --repository")
    for config in sorted(repository.glob(f"*/{CONFIG}")):
        try:
            parameters = read_parameters(config.read_text(encoding="utf-8"))
            if "role" in parameters:
                yield Entry(
                    name=config.parent.name,
                    role=parameters["role"],
                    space=EmbeddingSpace.from_json(parameters["space"]) if "space" in parameters else None,
                    labels=len(json.loads(parameters.get("labels", "[]"))),
                    size=sum(file.stat().st_size for file in config.parent.rglob("*") if file.is_file()),
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
    if not config.is_file() or "role" not in read_parameters(config.read_text(encoding="utf-8")):
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
