"""Training keeps onnxruntime to this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_models import slow_graph, write_model

PROGRAM = """
import sys
from pathlib import Path
from sosie.training.sessions import open_session
open_session(Path(sys.argv[1]).read_bytes())
"""


@pytest.mark.slow
def test_onnxruntime_leaves_no_trace(tmp_path: Path) -> None:
    """A process of training's that opens a graph writes neither a device id nor a database of what it did."""
    write_model(tmp_path / "model", slow_graph(), "")
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-B", "-c", PROGRAM, str(tmp_path / "model" / "1" / "model.onnx")]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert list(home.iterdir()) == []
