"""The generated code of the contract is committed, and it is what the generator makes of the .proto files."""

import os
import subprocess
import sys
from pathlib import Path


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py*") if path.suffix != ".pyc"}


def test_generated_code_is_up_to_date(root: Path, tmp_path: Path) -> None:
    """Generating anew changes nothing; after a change of the contract, scripts/generate brings the code up to date."""
    subprocess.run(
        [root / "scripts" / "generate", tmp_path], env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=60
    )
    assert contents(root / "proto") == contents(tmp_path)
