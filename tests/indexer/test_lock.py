"""One run a target: who is let in, who is told what, and what becomes of the lock of a run that died."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from sosie.indexer.target.errors import LockedError
from sosie.indexer.target.lock import LEASE, Owner, TargetLock, describe_age
from sosie.indexer.target.state import name_target, open_state, read_last_success, write_atomically
from sosie.local.waiting import wait_until

LIMIT = 20.0

HOLDER = """
import sys
from pathlib import Path
from sosie.indexer.target.lock import TargetLock
with TargetLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def leave(path: Path, *, machine: str, age: float = 0.0) -> Owner:
    """A lock file as an owner that is gone has left it, or as it looks from a machine that does not share locks."""
    owner = Owner("elsewhere", 4711, time.time() - 7500, "sosie index catalog.jsonl", machine)
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age,) * 2)
    return owner


def test_a_held_target_is_refused(path: Path) -> None:
    """While one run has the lock another is refused, and told which process has it, where, and for how long."""
    with TargetLock(path) as lock, pytest.raises(LockedError) as refused, TargetLock(path):
        pass
    assert f"process {os.getpid()} on {lock.owner.host}, for 0 s ({path}); wait for it" in str(refused.value)


def test_a_lock_that_was_given_back_is_nobodys(path: Path) -> None:
    """After a run that ended in order the next one takes nothing over."""
    for _ in range(2):
        with TargetLock(path) as lock:
            assert lock.taken_over is None
    assert path.read_bytes() == b""


def test_a_killed_owner_is_followed_at_once(path: Path) -> None:
    """The lock of a process that was killed on this machine is taken over, which is said with its number."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {process.pid} on"), TargetLock(path):
            pass
        process.kill()
        process.wait(LIMIT)
    with TargetLock(path) as lock:
        assert lock.taken_over is not None
        assert lock.taken_over.startswith(f"process {process.pid} on")
        assert "died without giving its lock back" in lock.taken_over


def test_another_machine_counts_as_alive_for_its_lease(path: Path) -> None:
    """An owner on a machine whose locks are not seen here counts until its heartbeat is older than the lease."""
    leave(path, machine="other", age=LEASE - 20)
    with pytest.raises(LockedError) as refused, TargetLock(path):
        pass
    assert "process 4711 on elsewhere, for 2 h 5 min; its last heartbeat was 1 min ago" in str(refused.value)
    assert f"can be taken over in 20 s, or at once when {path} is removed" in str(refused.value)


def test_another_machine_is_followed_after_its_lease(path: Path) -> None:
    """An owner elsewhere whose heartbeat is older than the lease counts as dead, and the run says so."""
    leave(path, machine="other", age=LEASE + 20)
    with TargetLock(path) as lock:
        assert lock.taken_over is not None
        assert "elsewhere" in lock.taken_over
        assert "counts as dead, its last heartbeat was 2 min ago" in lock.taken_over


@pytest.mark.parametrize("torn", ["{", "[]", '{"host": "a"}'])
def test_half_an_owner_is_none(torn: str, path: Path) -> None:
    """A file that names no whole owner is taken: its writer died in the middle of a word."""
    path.write_text(torn)
    with TargetLock(path) as lock:
        assert lock.taken_over is None


def test_the_owner_beats(path: Path) -> None:
    """While the lock is held its file's time of change is renewed."""
    with TargetLock(path, heartbeat=0.01):
        os.utime(path, (0, 0))
        assert wait_until(lambda: path.stat().st_mtime > 0, limit=LIMIT, pause=0.01)


def remove(path: Path) -> None:
    path.unlink()


def take(path: Path) -> None:
    leave(path, machine="other")


@pytest.mark.parametrize("change", [remove, take])
@pytest.mark.parametrize("late", [False, True])
def test_a_lock_that_was_taken_is_noticed(change: Callable[[Path], None], late: bool, path: Path) -> None:
    """A run whose lock another one took, or whose file was removed, hears of it, and gives nothing back."""
    heard: list[str] = []
    told = threading.Event()

    def hear(reason: str) -> None:
        heard.append(reason)
        told.set()

    with TargetLock(path, heartbeat=0.01) as lock:
        if not late:
            lock.watch(hear)
        change(path)
        if late:
            assert wait_until(lambda: bool(lock._lost), limit=LIMIT, pause=0.01)
            lock.watch(hear)
        assert told.wait(LIMIT)
    assert "was taken by another run" in heard[0]
    assert not path.exists() or json.loads(path.read_text())["pid"] == 4711


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7500, "2 h 5 min")]
)
def test_ages(seconds: float, text: str) -> None:
    """An age is told in the two units that matter."""
    assert describe_age(seconds) == text


def test_a_target_has_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .db has the same folder however its path is spelled; other collections and other stores have others."""
    monkeypatch.chdir(tmp_path)
    assert name_target("x.db", "sosie") == name_target(str(tmp_path / "x.db"), "sosie")
    names = {name_target(*target) for target in [("x.db", "a"), ("x.db", "b"), ("y.db", "a"), ("http://x.db", "a")]}
    assert len(names) == 4


def test_what_a_state_keeps(tmp_path: Path) -> None:
    """What a run writes into the state is there for the next one, and what is broken counts as not there."""
    target = (tmp_path, "x.db", "sosie")
    with open_state(*target) as state:
        assert state.last_success is None
        state.last_success = 7.0
    assert read_last_success(*target) == 7.0
    with open_state(*target) as state:
        assert state.last_success == 7.0
        for broken in ("{", "[]", '{"succeeded": "yesterday"}'):
            (state.folder / "last.json").write_text(broken)
            assert state.last_success is None
    assert read_last_success(tmp_path / "other", "x.db", "sosie") is None


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """A file that cannot be written leaves the old one as it was, and nothing beside it."""
    path = tmp_path / "summary.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("summary.json", "old")]
