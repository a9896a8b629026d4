"""`sosie local` as people use it: processes, signals, and nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.load import Load
from sosie.local.processes import REGION_PREFIX, SHARED_MEMORY, find_owned
from sosie.local.waiting import wait_until

START_LIMIT = 60.0
PROMISE = 10.0
SOSIE = Path(sys.executable).with_name("sosie")


class Up:
    """A running `sosie local up`, without the gateway."""

    def __init__(self, models: Path, state: Path) -> None:
        self.state = state
        self.output = state.parent / "up.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [SOSIE, "local", "up", "--models", models, "--state", state, "--no-gateway"],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def read_addresses(self) -> dict[str, Any]:
        """The published addresses, once there are any."""
        file = self.state / "local.json"
        assert wait_until(lambda: file.exists() or self.process.poll() is not None, limit=START_LIMIT)
        assert file.exists(), self.output.read_text()
        addresses: dict[str, Any] = json.loads(file.read_text())
        return addresses

    @property
    def owner(self) -> str:
        """What the tags of its processes and regions contain."""
        return f"-{self.process.pid}-"

    def find_processes(self) -> list[int]:
        return [pid for pid, tag in find_owned() if self.owner in tag]

    def find_regions(self) -> list[Path]:
        return [path for path in SHARED_MEMORY.glob(f"{REGION_PREFIX}*") if self.owner in path.name]

    def assert_nothing_left(self) -> None:
        assert self.find_processes() == []
        assert self.find_regions() == []
        assert not (self.state / "local.lock").exists()
        assert not (self.state / "local.json").exists()
        assert not (self.state / "backends").exists()


@contextmanager
def running(models: Path, state: Path) -> Iterator[Up]:
    up = Up(models, state)
    try:
        yield up
    finally:
        up.process.kill()
        up.process.wait(10)
        ask("down", "--state", state)  # also sweeps what a killed one left


def ask(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SOSIE, "local", *arguments], capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.slow
def test_a_whole_life(tiny_repository: Path, tmp_path: Path) -> None:
    """Up, asked, killed in part under load, repaired in time, asked again, down: and nothing is left."""
    with running(tiny_repository, tmp_path / "state") as up:
        addresses = up.read_addresses()
        assert addresses["pid"] == up.process.pid
        assert addresses["store"].startswith("http://127.0.0.1:")
        with Load(addresses["triton"]) as load:
            assert load.wait_for_answers(limit=PROMISE) is not None
            stubs = [pid for pid in up.find_processes() if b"/image/1/model.onnx" in read_command(pid)]
            for pid in stubs:
                os.kill(pid, signal.SIGKILL)
            assert wait_until(lambda: load.errors.total() > 0, limit=PROMISE)
            assert load.wait_for_answers(limit=PROMISE) is not None, up.output.read_text()
        assert load.errors["WRONG"] == 0
        store = next(pid for pid in up.find_processes() if b"milvus_lite" in read_command(pid))
        os.kill(store, signal.SIGKILL)
        assert wait_until(lambda: read_status(up)["well"], limit=START_LIMIT)
        result = ask("down", "--state", up.state)
        assert result.returncode == 0
        assert result.stdout.startswith("stopped after ")
        assert up.process.wait(1) == 0
        up.assert_nothing_left()
        output = up.output.read_text()
        assert "the model image is down (its process" in output
        assert "Milvus Lite killed by SIGKILL: starting it again" in output
        assert "Traceback" not in output


def read_command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def read_status(up: Up) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(ask("status", "--json", "--state", up.state).stdout)
    return status


@pytest.mark.slow
def test_a_second_up_is_refused(tiny_repository: Path, tmp_path: Path) -> None:
    """One line says who has the folder; the first goes on undisturbed and stops on Ctrl-C."""
    with running(tiny_repository, tmp_path / "state") as up:
        up.read_addresses()
        result = ask("up", "--models", tiny_repository, "--state", up.state)
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.startswith(f"sosie local up: the process {up.process.pid} already runs in ")
        assert result.stderr.count("\n") == 1
        status = ask("status", "--state", up.state)
        assert status.returncode == 0
        assert "image ready, lookup ready, tokens ready" in status.stdout
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(30) == 0
        up.assert_nothing_left()


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_children(tiny_repository: Path, tmp_path: Path) -> None:
    """SIGKILL of the supervisor ends all that it started, and the next one takes the folder over."""
    with running(tiny_repository, tmp_path / "state") as first:
        first.read_addresses()
        assert len(first.find_processes()) >= 8  # tritonserver, Milvus Lite and two stubs for each of three models
        first.process.kill()
        first.process.wait(10)
        assert wait_until(lambda: not first.find_processes(), limit=PROMISE)
        with running(tiny_repository, tmp_path / "state") as second:
            assert wait_until(lambda: "ready" in second.output.read_text(), limit=START_LIMIT)
            assert second.read_addresses()["pid"] == second.process.pid
            assert first.find_regions() == []


@pytest.mark.slow
def test_a_second_signal_forces(tiny_repository: Path, tmp_path: Path) -> None:
    """What does not end when asked is waited for, until a second Ctrl-C; then too nothing is left."""
    with running(tiny_repository, tmp_path / "state") as up:
        up.read_addresses()
        store = next(pid for pid in up.find_processes() if b"milvus_lite" in read_command(pid))
        os.kill(store, signal.SIGSTOP)
        up.process.send_signal(signal.SIGINT)
        assert wait_until(lambda: "stopping Milvus Lite" in up.output.read_text(), limit=PROMISE)
        assert up.process.poll() is None
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(PROMISE) == 0
        assert "Milvus Lite did not end by itself and was killed" in up.output.read_text()
        up.assert_nothing_left()


@pytest.mark.slow
def test_a_stop_while_starting_is_clean(tiny_repository: Path, tmp_path: Path) -> None:
    """SIGTERM before everything answers ends the start with status 0 and leaves nothing."""
    with running(tiny_repository, tmp_path / "state") as up:
        assert wait_until(lambda: bool(up.find_processes()), limit=START_LIMIT, pause=0.005)
        up.process.terminate()
        assert up.process.wait(30) == 0
        assert up.output.read_text().endswith("stopped\n")
        up.assert_nothing_left()


def test_a_missing_repository_names_the_command_that_builds_one(tmp_path: Path) -> None:
    """One line, and no state folder is made."""
    result = ask("up", "--models", tmp_path / "nowhere", "--state", tmp_path / "state")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "sosie models build mini" in result.stderr
    assert not (tmp_path / "state").exists()


def test_a_repository_without_weights_names_the_command_that_builds_them(tmp_path: Path) -> None:
    """Model folders alone are not enough."""
    (tmp_path / "models" / "clip_image").mkdir(parents=True)
    (tmp_path / "models" / "clip_image" / "config.pbtxt").touch()
    result = ask("up", "--models", tmp_path / "models", "--state", tmp_path / "state")
    assert result.returncode == 1
    assert "has its weights (1/model.onnx): build one with `sosie models build mini`" in result.stderr


@pytest.mark.parametrize("option", ["--models", "--state"])
def test_a_path_that_triton_would_break_apart_is_refused(tiny_repository: Path, tmp_path: Path, option: str) -> None:
    """Triton starts its stubs by an unquoted shell line: a path with a blank is refused at once, by its option."""
    paths = {"--models": tiny_repository, "--state": tmp_path / "state"}
    blank = tmp_path / "a blank"
    if option == "--models":
        shutil.copytree(tiny_repository, blank)
    result = ask("up", *(word for pair in {**paths, option: blank}.items() for word in pair))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert option in result.stderr


def test_nothing_to_stop_is_no_error(tmp_path: Path) -> None:
    """`down` where nothing runs says so; `status` has exit status 1 there."""
    down, status = ask("down", "--state", tmp_path), ask("status", "--json", "--state", tmp_path)
    assert (down.returncode, down.stdout) == (0, f"nothing runs in {tmp_path}\n")
    assert status.returncode == 1
    assert json.loads(status.stdout) == {"running": False, "well": False, "pid": None, "parts": []}


def test_a_port_out_of_range_is_a_usage_error(tmp_path: Path) -> None:
    """Argparse names the option and the bound."""
    result = ask("up", "--triton-port", "70000", "--state", tmp_path / "state")
    assert result.returncode == 2
    assert "--triton-port: a port is 0 to 65535" in result.stderr
