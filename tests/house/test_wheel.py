"""The built wheel, installed alone into an empty environment: what a shop's developer gets who installs `sosie`."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SDK = {"sosie", "grpcio", "protobuf", "googleapis-common-protos", "typing_extensions"}
"""What the base install brings; typing_extensions is grpcio's."""

IMPORT_ALL = """
import importlib, json, pkgutil, sys
import sosie.client
for module in pkgutil.walk_packages(sosie.client.__path__, "sosie.client."):
    importlib.import_module(module.name)
files = {name.partition(".")[0] for name, module in sys.modules.items() if "site-packages" in str(module)}
print(json.dumps(sorted(files)))
"""


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run(build, cwd=root, check=True, capture_output=True, timeout=120)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of an environment that holds the wheel and what it asks for, nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin" / "python",
        "install",
        "--quiet",
        wheel,
    ]
    subprocess.run(pip, check=True, timeout=200)
    return folder / "bin"


def call(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `command` in a plain environment, outside of the repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SOSIE"))}
    return subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=60)


def test_every_module_is_in_the_wheel(root: Path, wheel: Path, source_roots: list[str]) -> None:
    """The wheel holds every tracked file of every room, the local runtime's backend and label files included."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True).stdout
    tracked = {
        name.partition("/")[2]
        for name in listed.splitlines()
        if name.partition("/")[0] in source_roots and (root / name).exists()
    }
    assert tracked - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_nothing_but_source_is_in_the_wheel(wheel: Path) -> None:
    """The wheel holds rooms and its own metadata, and no file of weights' size."""
    files = zipfile.ZipFile(wheel).infolist()
    assert {file.filename.partition("/")[0].partition("-")[0] for file in files} == {"sosie"}
    assert [file.filename for file in files if file.file_size > 1024 * 1024] == []


def test_sdk_needs_grpc_alone(binaries: Path, tmp_path: Path) -> None:
    """The base install brings grpcio, protobuf and Google's common messages."""
    listed = call(sys.executable, "-m", "pip", "--python", binaries / "python", "list", "--format=json", cwd=tmp_path)
    assert {package["name"] for package in json.loads(listed.stdout)} == SDK


def test_sdk_imports(binaries: Path, tmp_path: Path) -> None:
    """All modules of the SDK and its command line are importable on the base install."""
    imported = call(binaries / "python", "-c", IMPORT_ALL, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert {"sosie", "grpc", "google"} <= set(json.loads(imported.stdout)) <= {*SDK, "grpc", "google"}


def test_help_on_the_base_install(binaries: Path, tmp_path: Path) -> None:
    """`sosie --help` lists every command, whatever is installed."""
    shown = call(binaries / "sosie", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert [command.name for command in entry_points(group="sosie.commands") if command.name not in shown.stdout] == []


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("indexer", "index catalog.jsonl --images ."),
        ("local", "local up"),
        ("models", "models build mini"),
        ("shop", "demo-shop shop"),
        ("gateway", "gateway"),
    ],
)
def test_command_of_a_room_that_is_not_installed(binaries: Path, tmp_path: Path, extra: str, command: str) -> None:
    """A command whose room is not installed answers with the extra that installs it, in one line."""
    (tmp_path / "catalog.jsonl").touch()
    answer = call(binaries / "sosie", *command.split(), cwd=tmp_path)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"sosie[{extra}]" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
