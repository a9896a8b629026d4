"""What the tests of the house itself share: where it stands, and what pyproject.toml says of it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """pyproject.toml, parsed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def source_roots(project: dict[str, Any]) -> list[str]:
    """The folders whose `sosie` folders make up the namespace package."""
    roots: list[str] = project["tool"]["hatch"]["build"]["dev-mode-dirs"]
    return roots
