"""The gateway as a process over backends that are away, with as many workers as wanted."""

import os
import re
import subprocess
import sys
from pathlib import Path

from sosie.local.processes import ProcessStat
from sosie.local.waiting import wait_until

NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens there
LIMIT = 30.0  # seconds for whatever is waited for


class LoneGateway:
    """`python -m sosie.gateway`, which says NOT_SERVING and refuses with UNAVAILABLE."""

    def __init__(self, folder: Path, **settings: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SOSIE_")}
        defaults = {"SOSIE_LISTEN": "127.0.0.1:0", "SOSIE_TRITON": NOWHERE, "SOSIE_STORE": f"http://{NOWHERE}"}
        defaults |= {"SOSIE_BALANCER_WAIT": "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sosie.gateway"],
            env={**environment, **defaults, **settings},
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def read_port(self) -> int:
        """The port that it says it listens on."""
        return int(self.read_until(r"listening on 127\.0\.0\.1:(\d+)"))

    def read_until(self, pattern: str) -> str:
        """The first group of the next line of its log in which the pattern is."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(pattern, line)
            if found:
                return found[1]
        raise AssertionError(f"the gateway ended without saying {pattern}")

    def find_workers(self) -> list[int]:
        """The PIDs of its workers that run, in the order of their start."""
        return find_children(self.pid)

    def end(self) -> tuple[int, str]:
        """Its exit status and the rest of what it printed, once it has ended."""
        _, printed = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, printed

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=LIMIT)


def find_children(parent: int) -> list[int]:
    """The PIDs of a process's children that run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and ProcessStat.read(int(entry.name)):
            try:
                status = (entry / "status").read_text()
            except OSError:  # it has just ended
                continue
            if f"\nPPid:\t{parent}\n" in status:
                found.append(int(entry.name))
    return sorted(found)


def wait_gone(pids: list[int]) -> bool:
    """Whether all these processes end in time."""
    return wait_until(lambda: all(ProcessStat.read(pid) is None for pid in pids), limit=LIMIT, pause=0.02)
