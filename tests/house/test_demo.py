"""scripts/demo, from a fresh clone to answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 540.0  # seconds; at first, Triton's own environment is downloaded too
RPCS = ("Classify", "SearchByImage", "SearchByText")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT + 60)]


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """The last commit, in a folder of its own."""
    subprocess.run(["git", "clone", "--quiet", root, tmp_path / "sosie"], check=True, timeout=60)
    return tmp_path / "sosie"


def processes_of(folder: Path) -> list[str]:
    """The command lines that name `folder` or run in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command or (process / "cwd").resolve().is_relative_to(folder):
                found.append(command)
        except OSError:  # it has ended, or is another user's
            continue
    return found


def test_demo_answers_and_cleans_up(clone: Path) -> None:
    """In a fresh clone, the demo gets an answer from each rpc, writes its contact sheet, and leaves nothing running."""
    output = clone / "output.txt"

    with output.open("w") as stream:
        demo = subprocess.run(
            [clone / "scripts" / "demo", "--products", "32"],
            env={**os.environ, "SOSIE_VENV": sys.prefix},  # installing is tested by what runs this test
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=LIMIT,
        )

    shown = output.read_text()
    assert demo.returncode == 0, shown
    classified, searched, told = (shown.partition(f"== {rpc}: ")[2].partition("\n== ")[0] for rpc in RPCS)
    assert "imagenet" in classified
    assert "striped sweater in black and white" in searched.splitlines()[2]
    assert "dress" in told
    assert "data:image" in (clone / ".sosie" / "contact-sheet.html").read_text()
    assert processes_of(clone) == []
