"""The rules between rooms are contracts in pyproject.toml, kept by import-linter."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

# Contract, file to plant in, what is planted there.
PLANTS = [
    ("rooms", "server/sosie/gateway/planted.py", "import sosie.indexer"),
    ("rooms", "indexer/sosie/indexer/planted.py", "def run():\n    from sosie.client import cli"),
    ("rooms", "clients/sosie/client/planted.py", "import sosie.shop"),
    ("rooms", "crawler/sosie/crawler/planted.py", "from sosie.indexer import rejects"),
    ("rooms", "shop/sosie/shop/planted.py", "from sosie import training"),
    ("rooms", "training/sosie/training/planted.py", "import sosie.gateway"),
    ("rooms", "server/sosie/local/planted.py", "from sosie.gateway import main"),
    ("rooms", "server/sosie/engine/planted.py", "from sosie.v1 import product_pb2"),
    ("rooms", "server/sosie/engine/planted.py", "import sosie.gateway"),
    ("rooms", "proto/sosie/v1/planted.py", "import sosie.engine.errors"),
    ("rooms", "server/sosie/planted/__init__.py", "'''A room without a place.'''"),
    ("engineless", "clients/sosie/client/planted.py", "from sosie.engine import errors"),
    ("engineless", "shop/sosie/shop/planted.py", "import sosie.engine.image"),
    ("engineless", "crawler/sosie/crawler/planted.py", "from sosie.engine import currency"),
    ("local", "server/sosie/local/planted.py", "def run():\n    import sosie.v1.visual_search_pb2_grpc"),
    ("torch", "server/sosie/engine/planted.py", "def run():\n    import torch.nn"),
    ("triton", "training/sosie/training/planted.py", "from tritonclient.grpc import aio"),
    ("milvus", "indexer/sosie/indexer/planted.py", "from pymilvus import MilvusClient"),
    ("ray", "indexer/sosie/indexer/planted.py", "def run():\n    import ray"),
    ("milvus", "server/sosie/local/planted.py", "import milvus_lite"),
    ("grpc", "server/sosie/engine/planted.py", "import grpc"),
]


@pytest.fixture
def tree(root: Path, source_roots: list[str], tmp_path: Path) -> Path:
    """A copy of the sources and of pyproject.toml."""
    for source_root in source_roots:
        shutil.copytree(root / source_root, tmp_path / source_root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path, source_roots: list[str]) -> subprocess.CompletedProcess[str]:
    """Run import-linter on `tree`: without `site`, the editable install does not add the repository's own rooms."""
    path = os.pathsep.join([*(str(tree / source_root) for source_root in source_roots), sysconfig.get_path("purelib")])
    call = "from importlinter.cli import lint_imports_command as lint; lint()"
    return subprocess.run(
        [sys.executable, "-S", "-c", call, "--no-logo", "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "200"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_rules_are_kept(root: Path, source_roots: list[str]) -> None:
    """All contracts are kept by the rooms as they stand."""
    result = lint(root, source_roots)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_rule_is_tried(project: dict[str, Any]) -> None:
    """Every contract is broken on purpose by one of the plants."""
    contracts = {contract["id"] for contract in project["tool"]["importlinter"]["contracts"]}
    assert contracts == {contract for contract, _, _ in PLANTS}


@pytest.mark.parametrize(("contract", "file", "planted"), PLANTS)
def test_planted_violation(
    tree: Path, source_roots: list[str], project: dict[str, Any], contract: str, file: str, planted: str
) -> None:
    """An import against a rule fails and is named with its rule, also inside a function."""
    names = {contract["id"]: contract["name"] for contract in project["tool"]["importlinter"]["contracts"]}
    (tree / file).parent.mkdir(exist_ok=True)
    (tree / file).write_text(planted + "\n")

    result = lint(tree, source_roots)

    assert result.returncode == 1, result.stdout + result.stderr
    assert names[contract] in re.findall(r"^(.*) BROKEN", result.stdout, re.MULTILINE)
    assert "planted" in result.stdout
