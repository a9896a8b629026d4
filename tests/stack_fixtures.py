"""The whole path, once for a session: the bundle mini, the drawn shop, and a stack that serves it indexed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sosie.client import Client
from sosie.local.stack import LocalStack


def run_sosie(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One command of sosie's, in a process of its own."""
    command = [sys.executable, "-m", "sosie.client", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, cwd=cwd)


def must_sosie(*arguments: object, cwd: Path | None = None) -> str:
    """What a command printed; one that fails fails the test with its words."""
    done = run_sosie(*arguments, cwd=cwd)
    assert done.returncode == 0, f"sosie {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class DrawnShop:
    """The catalog, its pictures and the truth by picture path."""

    folder: Path

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.jsonl"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def truth(self) -> dict[str, dict[str, Any]]:
        pictures: dict[str, dict[str, Any]] = json.loads((self.folder / "truth.json").read_text())["pictures"]
        return pictures


@dataclass(frozen=True)
class Served:
    """A running stack that holds the drawn shop."""

    stack: LocalStack
    shop: DrawnShop
    models: Path
    state: Path

    def places(self) -> tuple[object, ...]:
        """The indexer's options for this stack."""
        addresses = self.stack.addresses
        return ("--store", addresses["store"], "--triton", addresses["triton"], "--models", self.models)


@pytest.fixture(scope="session")
def mini_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle mini, built anew."""
    folder = tmp_path_factory.mktemp("mini") / "models"
    must_sosie("models", "build", "mini", "--repository", folder)
    return folder


@pytest.fixture(scope="session")
def drawn_shop(tmp_path_factory: pytest.TempPathFactory) -> DrawnShop:
    """The shop as the demo draws it."""
    folder = tmp_path_factory.mktemp("shop") / "shop"
    must_sosie("demo-shop", folder)
    return DrawnShop(folder)


@pytest.fixture(scope="session")
def served(mini_repository: Path, drawn_shop: DrawnShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A stack that serves the drawn shop; tests may break its processes, which it repairs."""
    state = tmp_path_factory.mktemp("state")
    with LocalStack(mini_repository, state) as stack:
        made = Served(stack, drawn_shop, mini_repository, state)
        must_sosie("index", drawn_shop.catalog, "--images", drawn_shop.images, *made.places())
        yield made


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.stack.addresses["gateway"], timeout=30) as opened:
        yield opened
