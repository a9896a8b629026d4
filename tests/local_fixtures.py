"""A real Triton for any test that needs one.

`tiny_repository` is a model repository of tiny models (see tiny_models), `tiny_triton` a server that serves it for the
whole session.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sosie.local.triton import LocalTriton


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository of tiny models."""
    from tiny_models import write_tiny_repository  # noqa: PLC0415 -- onnx is slow to import, most tests need none

    return write_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def tiny_triton(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """A real Triton on loopback that serves the tiny models; no test may break it."""
    with LocalTriton(tiny_repository, tmp_path_factory.mktemp("triton")) as triton:
        yield triton
