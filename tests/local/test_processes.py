"""Children, and what a killed owner leaves."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sosie.local.processes import (
    REGION_PREFIX,
    SHARED_MEMORY,
    Child,
    ProcessStat,
    find_owned,
    make_tag,
    owner_is_dead,
    read_tail,
    sweep,
    sweep_dead_owners,
)
from sosie.local.waiting import wait_until

LIMIT = 10.0
OWNER_PROGRAM = """
import os, pathlib, sys, threading
from sosie.local.processes import SHARED_MEMORY, REGION_PREFIX, Child, make_tag
tag = make_tag()
(SHARED_MEMORY / f"{REGION_PREFIX}{tag}-region").touch()
children = []
def start():
    # A grandchild of another session outlives its parent, as a stopped stub of Triton does.
    command = ["setsid", "sleep", "300"] if sys.argv[1] == "astray" else ["sleep", "300"]
    wrapped = ["bash", "-c", " ".join(command) + " & wait"] if sys.argv[1] == "astray" else command
    children.append(Child.spawn("sleep", wrapped, environment=dict(os.environ), tag=tag, log=pathlib.Path(sys.argv[2])))
thread = threading.Thread(target=start)
thread.start()
thread.join()  # the thread that asked for the child is gone; the child must not be
print(tag, children[0].pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def tag() -> Iterator[str]:
    tag = make_tag()
    yield tag
    sweep(tag)


def spawn(tag: str, log: Path, *command: str) -> Child:
    return Child.spawn(command[0], command, environment=dict(os.environ), tag=tag, log=log)


def find(tag: str) -> list[int]:
    return [pid for pid, owner in find_owned() if owner == tag]


def test_a_child_writes_to_its_log_and_ends(tmp_path: Path, tag: str) -> None:
    """Output of both streams is in the log, the end is described."""
    child = spawn(tag, tmp_path / "log", "sh", "-c", "echo first; echo second >&2; exit 3")
    assert wait_until(lambda: not child.is_alive, limit=LIMIT)
    assert read_tail(tmp_path / "log", 2) == "first | second"
    assert child.describe_end() == "ended with status 3"


def test_a_missing_program_is_named(tmp_path: Path, tag: str) -> None:
    """A command that does not exist says so in the log, without a traceback."""
    child = spawn(tag, tmp_path / "log", "no-such-program")
    assert wait_until(lambda: not child.is_alive, limit=LIMIT)
    assert read_tail(tmp_path / "log", 9) == "no-such-program: [Errno 2] No such file or directory"


def test_a_child_that_will_not_end_is_killed(tmp_path: Path, tag: str) -> None:
    """After its grace a child is killed with all that it started."""
    child = spawn(tag, tmp_path / "log", "sh", "-c", "trap '' TERM; sleep 300 & echo up; wait; wait")
    assert wait_until(lambda: read_tail(tmp_path / "log") == "up", limit=LIMIT)
    assert not child.stop(grace=0.2)
    assert child.describe_end() == "killed by SIGKILL"
    assert wait_until(lambda: not find(tag), limit=LIMIT)


def test_forcing_cuts_the_grace_short(tmp_path: Path, tag: str) -> None:
    """A stop that is forced does not wait for a child that has ten minutes."""
    child = spawn(tag, tmp_path / "log", "sh", "-c", "trap '' TERM; echo up; sleep 300")
    assert wait_until(lambda: read_tail(tmp_path / "log") == "up", limit=LIMIT)
    force = threading.Event()
    force.set()
    assert not child.stop(grace=600, force=force)


def test_sweeping_spares_other_owners(tmp_path: Path, tag: str) -> None:
    """What a living owner uses stays."""
    child = spawn(tag, tmp_path / "log", "sleep", "300")
    # Until the child has its own program, nothing shows whose it is.
    assert wait_until(lambda: any(owner == tag for _, owner in find_owned()), limit=LIMIT)
    region = SHARED_MEMORY / f"{REGION_PREFIX}{tag}-region"
    region.touch()
    assert tag not in sweep_dead_owners()
    assert not owner_is_dead(tag)
    assert child.is_alive
    assert region.exists()
    sweep(tag)
    assert wait_until(lambda: not child.is_alive, limit=LIMIT)
    assert not region.exists()


@pytest.mark.parametrize("tag", ["", "nonsense", "1-2-3", f"1-{os.getpid()}-0-abcdef"])
def test_an_unknown_tag_is_not_taken_for_a_dead_owner(tag: str) -> None:
    """Of another namespace's processes, and of what is no tag at all, nothing is known."""
    assert not owner_is_dead(tag)


def start_owner(kind: str, log: Path) -> tuple[subprocess.Popen[str], str, int]:
    command = [sys.executable, "-c", OWNER_PROGRAM, kind, str(log)]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    tag, pid = owner.stdout.readline().split()
    return owner, tag, int(pid)


def test_a_child_dies_with_a_killed_owner(tmp_path: Path) -> None:
    """SIGKILL of the owner ends its children, though not when the thread ends that asked for them."""
    owner, tag, pid = start_owner("plain", tmp_path / "log")
    with owner:
        stat = ProcessStat.read(pid)
        assert stat is not None
        owner.kill()
    assert wait_until(lambda: ProcessStat.read(pid) is None, limit=LIMIT)
    sweep(tag)


def test_what_a_killed_owner_leaves_is_swept(tmp_path: Path) -> None:
    """Processes that escaped and shared memory of a dead owner are found by its tag and removed."""
    owner, tag, _ = start_owner("astray", tmp_path / "log")
    with owner:
        assert wait_until(lambda: len(find(tag)) == 2, limit=LIMIT)  # the shell and its sleep
        os.kill(owner.pid, signal.SIGKILL)
    assert wait_until(lambda: len(find(tag)) == 1, limit=LIMIT)
    assert tag in sweep_dead_owners()
    assert not find(tag)
    assert not list(SHARED_MEMORY.glob(f"{REGION_PREFIX}{tag}-*"))
