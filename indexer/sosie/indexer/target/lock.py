"""One run a target: a file that the running one holds, with its owner in it and a heartbeat.

The file is locked by flock(2), which the kernel gives up with the process, however that ends. Whoever finds it unlocked
and an owner still in it knows that this owner died, where both are on one machine. Some shared file systems keep such
locks to each machine: an owner on another one counts as alive until its heartbeat, the file's time of change, is older
than the lease.
"""

import contextlib
import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sosie.indexer.target.errors import LockedError

HEARTBEAT = 10.0
"""Seconds between two beats."""

LEASE = 120.0
"""Seconds after its last beat for which an owner on another machine counts as alive."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. `machine` tells apart what may share a host's name; `since` is in seconds since 1970."""

    host: str
    pid: int
    since: float
    command: str
    machine: str

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        return cls(socket.gethostname(), os.getpid(), time.time(), shlex.join(sys.argv), _name_machine())

    def describe(self) -> str:
        """E.g. "process 4711 on host-1, for 2 h 5 min"."""
        return f"process {self.pid} on {self.host}, for {describe_age(time.time() - self.since)}"


class TargetLock:
    """Held from entering to leaving, or until another machine takes it for dead."""

    def __init__(
        self, path: Path, *, owner: Owner | None = None, heartbeat: float = HEARTBEAT, lease: float = LEASE
    ) -> None:
        self.path = path
        self.owner = owner or Owner.here()
        self.taken_over: str | None = None
        """What became of the earlier owner, where one left the lock without giving it back."""
        self._heartbeat = heartbeat
        self._lease = lease
        self._file = -1
        self._leaving = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._telling = threading.Lock()
        self._on_loss: Callable[[str], object] | None = None
        self._lost = ""

    def __enter__(self) -> Self:
        """Raises LockedError where another run has it, and OSError where the folder takes no locks."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._acquire()
        except BaseException:
            os.close(self._file)
            raise
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._beating.join()
        if self._is_ours():
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def watch(self, on_loss: Callable[[str], object]) -> None:
        """`on_loss` is told why, from another thread, when the lock turns out to be lost."""
        with self._telling:
            self._on_loss = on_loss
            if self._lost:
                on_loss(self._lost)

    def _acquire(self) -> None:
        earlier = _read_owner(self._file)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise OSError(error.errno, f"takes no locks ({error.strerror})", str(self.path.parent)) from error
            holder = earlier.describe() if earlier else "a process that has just begun"
            raise LockedError(
                f"another run has this target: {holder} ({self.path}); wait for it, or stop it"
            ) from error
        earlier = _read_owner(self._file)  # it may have changed before it was ours
        if earlier:
            self.taken_over = self._judge(earlier)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(asdict(self.owner)).encode(), 0)
        os.fsync(self._file)

    def _judge(self, earlier: Owner) -> str:
        """How the lock of an owner that did not give it back may be taken over. Raises LockedError where it may not."""
        if earlier.machine == self.owner.machine:
            return f"{earlier.describe()}, died without giving its lock back: going on in its place"
        age = self._measure_age()
        beat = f"its last heartbeat was {describe_age(age)} ago"
        if age <= self._lease:
            raise LockedError(
                f"another run has this target: {earlier.describe()}; {beat}. If it died, its lock can be taken over in "
                f"{describe_age(self._lease - age)}, or at once when {self.path} is removed"
            )
        return f"{earlier.describe()}, counts as dead, {beat}: going on in its place"

    def _measure_age(self) -> float:
        """Seconds since the last beat, by the clock of the file system: machines' own may differ."""
        with tempfile.NamedTemporaryFile(dir=self.path.parent) as now:
            return max(0.0, os.fstat(now.fileno()).st_mtime - os.fstat(self._file).st_mtime)

    def _beat(self) -> None:
        while not self._leaving.wait(self._heartbeat):
            if not self._is_ours():
                with self._telling:
                    self._lost = f"the lock {self.path} was taken by another run: this one ends, to leave it the target"
                    if self._on_loss:
                        self._on_loss(self._lost)
                return
            with contextlib.suppress(OSError):  # a moment without the file system is no reason to give up
                os.utime(self._file)

    def _is_ours(self) -> bool:
        """Whether the file is still there, and names this run. Where that cannot be seen, it is taken for so."""
        try:
            there = os.path.samestat(self.path.stat(), os.fstat(self._file))
            return there and _read_owner(self._file) == self.owner
        except FileNotFoundError:
            return False
        except OSError:
            return True


def describe_age(seconds: float) -> str:
    """E.g. "4 s", "12 min", "2 h 5 min"."""
    minutes = int(seconds / 60)
    if minutes < 1:
        return f"{max(0, seconds):.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - an hour


def _read_owner(file: int) -> Owner | None:
    """None where nobody is named, or half a name was written."""
    try:
        return Owner(**json.loads(os.pread(file, 65_536, 0)))
    except (ValueError, TypeError):
        return None


def name_boot() -> str:
    """The running kernel: another one after the machine was started again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _name_machine() -> str:
    """What processes have in common that see each other's end: one running kernel, and one namespace of processes."""
    try:
        return f"{name_boot()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()
