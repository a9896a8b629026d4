"""What the scripts say before they do anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def call(root: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in {"PYTHON", "SOSIE_VENV"}}
    return subprocess.run(
        ["bash", *command],
        cwd=root,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def bare_tree(root: Path, tmp_path: Path) -> Path:
    """The scripts alone, as in a fresh clone."""
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("script", ["check", "demo", "test"])
def test_without_a_suitable_python(bare_tree: Path, script: str) -> None:
    """On a machine without Python 3.11, a script ends with one line that says what it needs."""
    tools = bare_tree / "bin"
    tools.mkdir()
    for name in ("bash", "cat", "cksum", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or pytest.fail(f"this machine has no {name}"))

    answer = call(bare_tree, f"scripts/{script}", PATH=str(tools))

    assert answer.returncode == 1
    assert [line for line in answer.stderr.splitlines() if "Python 3.11" in line] == answer.stderr.splitlines()
    assert not (bare_tree / ".venv").exists()


def test_demo_tells_its_options(root: Path) -> None:
    """`scripts/demo --help` tells every option that the script takes."""
    answer = call(root, "scripts/demo", "--help")
    assert answer.returncode == 0
    assert [option for option in ("--serve", "--products", "--state") if option not in answer.stdout] == []


def test_demo_refuses_what_it_does_not_know(root: Path) -> None:
    """An unknown argument of `scripts/demo` ends it with one line, before anything is set up."""
    answer = call(root, "scripts/demo", "--server")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == ["scripts/demo: unknown argument --server; --help shows the known ones"]
