"""The lock file."""

import os
import subprocess
import sys
from pathlib import Path

from sosie.local.locks import FileLock
from sosie.local.waiting import wait_until

HOLD = """
import sys, pathlib
from sosie.local.locks import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_one_at_a_time_has_the_lock(tmp_path: Path) -> None:
    """A second holder is refused until the first lets go."""
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() == os.getpid()
    first.release()
    assert second.acquire()
    second.release()


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    """The file goes with the lock, and a lock that was never taken removes nothing."""
    with FileLock(tmp_path / "lock") as lock:
        assert lock.acquire()
        FileLock(tmp_path / "lock").release()
        assert (tmp_path / "lock").exists()
    assert not (tmp_path / "lock").exists()
    assert lock.holder() is None


def test_a_killed_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    """The file of a holder that was killed is free, and says so."""
    lock = FileLock(tmp_path / "lock")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert lock.holder() == process.pid
        assert not lock.acquire()
        process.kill()
    assert lock.holder() is None
    assert wait_until(lock.acquire, limit=5)
    lock.release()
