"""A real Triton with tiny encoders, for this room's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sosie.local.triton import LocalTriton


@pytest.fixture(scope="session")
def encoder_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model repository that `encoder_triton` serves."""
    from engine.tiny_encoders import write_encoder_repository  # noqa: PLC0415 -- onnx is slow, few tests need it

    return write_encoder_repository(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="session")
def encoder_triton(encoder_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """A real Triton on loopback; a test may load a further model, and unloads it again."""
    with LocalTriton(encoder_repository, tmp_path_factory.mktemp("triton")) as triton:
        yield triton
