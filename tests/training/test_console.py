"""What the commands say where torch is not installed, and how they count what is left out."""

import subprocess
import sys

import pytest

from sosie.training.console import SHOWN_PROBLEMS, Problems

WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = None; from sosie.client.cli import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.parametrize(
    "line",
    [
        "models build clip --random",
        "models build resnet152 --random",
        "models fit --catalog none.jsonl --images .",
        "models same-product --catalog none.jsonl --images .",
        "train classifier --catalog none.jsonl --images . --label brand",
    ],
)
def test_without_torch(line: str) -> None:
    """A command that learns or exports says in one line how torch is installed."""
    command = [sys.executable, "-c", WITHOUT_TORCH, *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install torch==2.13.0" in done.stderr


def test_problems_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The first problems are shown, the rest are counted."""
    problems = Problems()
    for number in range(SHOWN_PROBLEMS + 3):
        problems.add(f"line {number}: is nothing")
    problems.tell()
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == SHOWN_PROBLEMS + 1
    assert shown[-1].strip() == "left out, 3 more lines and pictures"
