"""A Ray cluster of two nodes on this machine, for tests that need one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROCESS = Path(__file__).with_name("ray_process.py")

QUICK = {
    "RAY_health_check_period_ms": "500",  # a node that is killed is missed within two seconds, not fifteen
    "RAY_health_check_failure_threshold": "3",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_num_prestart_python_workers": "0",
}


class RayCluster:
    """A head and what is added to it, each with room for one worker."""

    def __init__(self) -> None:
        environment = {**os.environ, **QUICK, "PYTHONPATH": str(PROCESS.parent)}
        self._process = subprocess.Popen(
            [sys.executable, str(PROCESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.address = ""

    def start(self) -> None:
        """Two nodes; returns when they are there."""
        self.address = self._read()
        self.add()

    def add(self) -> None:
        """Starts a node; returns when the cluster has it."""
        self._ask("add")

    def kill(self) -> None:
        """Ends the last node that was added, and all that runs there, without a word to anybody."""
        self._ask("kill")

    def close(self) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the Ray cluster has ended"
        return line


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    """Two nodes."""
    cluster = RayCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
