"""mypy checks every room, strictly."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_planted_type_errors(root: Path, source_roots: list[str], tmp_path: Path) -> None:
    """A type error planted into each room and into the tests is found in every one of them."""
    planted = [Path(__file__), *(file for name in source_roots for file in root.glob(f"{name}/sosie/*/__init__.py"))]
    shadows: list[str | Path] = []
    for index, file in enumerate(planted):
        shadow = tmp_path / f"{index}.py"
        shadow.write_text(file.read_text() + '\nplanted: int = "text"\n')
        shadows += ["--shadow-file", file.relative_to(root), shadow]

    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", *shadows],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )

    found = re.findall(r"^(.+?):\d+: error: Incompatible types in assignment", result.stdout, re.MULTILINE)
    assert {str(file.relative_to(root)) for file in planted} <= set(found), result.stdout + result.stderr
