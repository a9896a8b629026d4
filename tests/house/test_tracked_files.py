"""What is committed is source: no weights, no data, nothing that is built."""

import subprocess
from pathlib import Path

import pytest

MIB = 1024 * 1024
WEIGHTS = {".bin", ".db", ".h5", ".npy", ".npz", ".onnx", ".pkl", ".plan", ".pt", ".pth", ".safetensors"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := root / name).exists()]


def test_no_weights(tracked: list[Path]) -> None:
    """Weights, vectors and databases are built or fetched, never committed."""
    assert [str(path) for path in tracked if path.suffix in WEIGHTS] == []


def test_nothing_large(tracked: list[Path]) -> None:
    """No committed file is larger than 1 MiB."""
    assert [str(path) for path in tracked if path.stat().st_size > MIB] == []


def test_binaries_are_pictures_of_the_docs(root: Path, tracked: list[Path]) -> None:
    """All committed files are text, but for the pictures in docs/."""
    binaries = [path for path in tracked if b"\0" in path.read_bytes()[:8192]]
    assert [str(path) for path in binaries if path.suffix not in PICTURES or root / "docs" not in path.parents] == []


def test_model_repository_holds_models(root: Path) -> None:
    """Triton takes every folder of model_repository for a model, so each one is, and there is nothing else."""
    entries = list((root / "model_repository").glob("*"))
    assert [str(path) for path in entries if not (path / "config.pbtxt").is_file()] == []
