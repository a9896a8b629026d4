"""sosie is one namespace package over several source roots."""

import importlib
import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def rooms(root: Path, source_roots: list[str]) -> dict[str, Path]:
    return {
        folder.name: folder
        for source_root in source_roots
        for folder in (root / source_root / "sosie").iterdir()
        if folder.is_dir() and folder.name != "__pycache__"
    }


def test_no_room_hides_another(root: Path) -> None:
    """No `sosie` folder holds an __init__.py: one would hide all other rooms, while type checks stay green."""
    assert [str(path) for path in root.glob("*/sosie/__init__.py")] == []


def test_proto_is_no_package(root: Path) -> None:
    """The contract's folders hold no __init__.py, as protoc makes none."""
    assert [str(path) for path in (root / "proto").rglob("__init__.py")] == []


def test_all_rooms_in_one_process(rooms: dict[str, Path]) -> None:
    """Every room is imported from its own folder, side by side in one process."""
    for name, folder in rooms.items():
        room = importlib.import_module(f"sosie.{name}")
        assert [Path(path) for path in room.__path__] == [folder]


def test_rooms_introduce_themselves(rooms: dict[str, Path]) -> None:
    """Every room but the contract's generated code has a docstring that says what it is for."""
    silent = [name for name in rooms.keys() - {"v1"} if not importlib.import_module(f"sosie.{name}").__doc__]
    assert silent == []


def test_every_source_root_is_everywhere(root: Path, project: dict[str, Any], source_roots: list[str]) -> None:
    """A source root is known to the editable install, the wheel, mypy and ruff alike."""
    tracked = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True).stdout
    with_rooms = {line.split("/")[0] for line in tracked.splitlines() if line.split("/")[1:2] == ["sosie"]}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(source_roots) == with_rooms
    assert wheel["sources"] == source_roots
    assert wheel["only-include"] == [f"{source_root}/sosie" for source_root in source_roots]
    assert set(source_roots) <= set(project["tool"]["mypy"]["mypy_path"])
    assert set(source_roots) - {"proto"} <= set(project["tool"]["mypy"]["files"])
    assert set(source_roots) <= set(project["tool"]["ruff"]["src"])
