"""Triton's own environment."""

import json
import sys
import threading
from pathlib import Path

import pytest

from sosie.local import runtime
from sosie.local.errors import LocalError, StoppedError
from sosie.local.runtime import TritonRuntime, default_folder, ensure_runtime


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SOSIE_CACHE goes before XDG_CACHE_HOME, and versions are in the folder's name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SOSIE_CACHE", str(tmp_path / "own"))
    assert default_folder().parent == tmp_path / "own"
    monkeypatch.delenv("SOSIE_CACHE")
    assert default_folder().parent == tmp_path / "xdg" / "sosie"
    assert default_folder().name.startswith("triton-24.10-")


@pytest.mark.parametrize(
    ("version", "machine", "words"),
    [((3, 14), "x86_64", "Python 3.11 to 3.13"), ((3, 11), "aarch64", "Linux x86_64 only")],
)
def test_a_machine_that_cannot_run_it_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: tuple[int, int], machine: str, words: str
) -> None:
    """Before anything is installed, the message says what is needed."""
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(LocalError, match=words):
        ensure_runtime(tmp_path / "runtime")
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message says which variable moves the cache."""
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="SOSIE_CACHE"):
        ensure_runtime(tmp_path / "file" / "runtime")


@pytest.mark.slow
def test_a_half_made_environment_is_remade_once(tmp_path: Path) -> None:
    """What a killed run left is replaced; two that ask at once make it once; later uses take it as it is."""
    folder = tmp_path / "runtime"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "left-over").touch()
    said: list[str] = []
    made: list[TritonRuntime] = []
    threads = [threading.Thread(target=lambda: made.append(ensure_runtime(folder, say=said.append))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(280)
    assert len(made) == 2
    assert made[0].is_complete()
    assert sum("is not whole" in line for line in said) == 1
    assert sum("waiting for the process" in line for line in said) == 1
    assert not (folder / "bin" / "left-over").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["runtime"]  # no lock, no log
    said.clear()
    ensure_runtime(folder, say=said.append)
    assert said == []
    marker = folder / runtime.MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "numpy": "1.0"}))
    assert not made[0].is_complete()


@pytest.mark.slow
def test_a_package_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What pip says last is in the message, and where its log is; the half-made folder is not taken for whole."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(LocalError, match=r"`pip install` failed: .*nvidia-pytriton.*see .*runtime\.log"):
        ensure_runtime(tmp_path / "runtime")
    assert not TritonRuntime(tmp_path / "runtime").is_complete()


@pytest.mark.slow
def test_a_stop_breaks_the_installation_off(tmp_path: Path) -> None:
    """Whoever is asked to stop while pip works does not wait for pip."""
    stop = threading.Event()

    def say(line: str) -> None:
        if line.startswith("making"):
            stop.set()

    with pytest.raises(StoppedError):
        ensure_runtime(tmp_path / "runtime", say=say, stop=stop)
    assert not (tmp_path / "runtime.lock").exists()


def test_models_tell_nobody_what_they_run(tmp_path: Path) -> None:
    """The environment of Triton's models keeps onnxruntime from reporting to its makers."""
    assert TritonRuntime(tmp_path).environment()["ORT_DISABLE_TELEMETRY"] == "1"
