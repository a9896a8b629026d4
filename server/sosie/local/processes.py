"""Child processes that cannot outlive their owner, and the traces that they leave.

Every child, and whatever it starts itself, carries its owner's tag in its environment and, if it is Triton, in the
names of its shared memory. So what a killed owner left behind can be told from what a living one uses.
"""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from sosie.local import tether
from sosie.local.waiting import wait_until

OWNER = "SOSIE_OWNER"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- where Linux keeps POSIX shared memory
REGION_PREFIX = "sosie-"
TAG = re.compile(r"(\d+)-(\d+)-(\d+)-[0-9a-f]{6}")
KILL_LIMIT = 5.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcessStat:
    """What /proc/PID/stat says: `state` is R, S, D, T, Z, ...; times are in clock ticks."""

    state: str
    group: int
    cpu_ticks: int
    started: int

    @classmethod
    def read(cls, pid: int) -> Self | None:
        """None where there is no such process, or only the remains that its parent has not collected."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold blanks
        if fields[0] in "ZX":
            return None
        return cls(fields[0], int(fields[2]), int(fields[11]) + int(fields[12]), int(fields[19]))


def read_run_delay(pid: int) -> float:
    """Seconds for which a process's threads, summed up, have been ready to run but had no processor.

    The second number of /proc/PID/task/TID/schedstat, in nanoseconds; 0 where there is no such process.
    """
    delay = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            delay += int(file.read_text().split()[1])
    return delay / 1e9


def make_tag() -> str:
    """A new tag for what this process owns: its PID namespace, PID and start, and a random end."""
    started = ProcessStat.read(os.getpid())
    assert started is not None  # noqa: S101 -- it is us
    return f"{_pid_namespace()}-{os.getpid()}-{started.started}-{secrets.token_hex(3)}"


def owner_is_dead(tag: str) -> bool:
    """Whether a tag's owner is gone; False where that cannot be known from here."""
    match = TAG.fullmatch(tag)
    if match is None or int(match[1]) != _pid_namespace():
        return False
    stat = ProcessStat.read(int(match[2]))
    return stat is None or stat.started != int(match[3])


def find_owned() -> Iterator[tuple[int, str]]:
    """(PID, tag) of every running process of ours, whoever the owner is."""
    marker = f"{OWNER}=".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone, or another user's
                for variable in (entry / "environ").read_bytes().split(b"\0"):
                    if variable.startswith(marker):
                        yield int(entry.name), variable.removeprefix(marker).decode(errors="replace")


def find_regions(tag: str) -> list[Path]:
    """The shared-memory regions of an owner."""
    return sorted(SHARED_MEMORY.glob(f"{REGION_PREFIX}{tag}-*"))


def sweep(tag: str) -> None:
    """Kills what is left of an owner's processes and removes its shared memory."""
    kill([pid for pid, owner in find_owned() if owner == tag])
    for region in find_regions(tag):
        region.unlink(missing_ok=True)


def sweep_dead_owners() -> list[str]:
    """Sweeps after every owner that is gone, and gives back their tags."""
    owners = {owner for _, owner in find_owned()}
    for region in SHARED_MEMORY.glob(f"{REGION_PREFIX}*"):
        match = TAG.match(region.name, len(REGION_PREFIX))
        if match and region.stat().st_uid == os.getuid():
            owners.add(match[0])
    dead = sorted(filter(owner_is_dead, owners))
    for tag in dead:
        sweep(tag)
    return dead


def kill(pids: Sequence[int]) -> None:
    """Kills processes at once and waits until they are gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(ProcessStat.read(pid) is None for pid in pids), limit=KILL_LIMIT, pause=0.01)


class Child:
    """A process of ours in a session of its own, so that a Ctrl-C in the terminal reaches only us."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self._process = process

    @classmethod
    def spawn(cls, name: str, command: Sequence[str], *, environment: Mapping[str, str], tag: str, log: Path) -> Self:
        """Starts a command; its output is appended to `log`."""
        tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command]

        def start() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    tethered,
                    env={**environment, OWNER: tag},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

        return cls(name, _spawner().submit(start).result())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative is the signal that killed it."""
        return self._process.poll()

    @property
    def is_alive(self) -> bool:
        return self.exit_status is None

    def describe_end(self) -> str:
        """How it ended, for a message."""
        status = self.exit_status
        if status is not None and status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def stop(self, *, grace: float, force: threading.Event | None = None, number: int = signal.SIGTERM) -> bool:
        """Asks it to end; kills it, with what it started, after `grace` seconds or once `force` is set.

        True where it ended by itself.
        """
        if self.is_alive:
            self._process.send_signal(number)
        wait_until(lambda: not self.is_alive or (force is not None and force.is_set()), limit=grace)
        graceful = not self.is_alive
        self.kill()
        return graceful

    def kill(self) -> None:
        """Kills it and all of its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(KILL_LIMIT)


def read_tail(log: Path, lines: int = 1) -> str:
    """The last lines of a log that say something, in one line."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])


@cache
def _spawner() -> ThreadPoolExecutor:
    """The one thread that starts children: they die with it, so it has to live as long as the process."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@cache
def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
