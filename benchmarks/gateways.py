"""A gateway in processes of its own, before servers that others started, and what it uses of the machine."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
START_LIMIT = 60.0


@dataclass(frozen=True)
class Used:
    """What processes hold, summed up: bytes of memory of their own, file descriptors, threads."""

    memory: int
    files: int
    threads: int


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that listens on `address`; `pids` are those of its workers, or its own where it has none."""

    address: str
    pids: Collection[int]

    def cpu(self) -> float:
        """Seconds of the processor, user and system, that it has used."""
        return sum(read_cpu(pid) for pid in self.pids)

    def used(self) -> Used:
        return Used(
            memory=sum(_read_memory(pid) for pid in self.pids),
            files=sum(_count(f"/proc/{pid}/fd") for pid in self.pids),
            threads=sum(_count(f"/proc/{pid}/task") for pid in self.pids),
        )


def read_cpu(pid: int) -> float:
    """Seconds of the processor, user and system, that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _count(folder: str) -> int:
    return len(list(Path(folder).iterdir()))


def _read_memory(pid: int) -> int:
    """Bytes that only this process has: resident ones less those of files that it shares."""
    _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def run_gateway(
    addresses: Mapping[str, str], models: Path, *, workers: int = 1, cpus: Collection[int] = (), **settings: object
) -> Iterator[RunningGateway]:
    """A gateway with these settings, by their names in GatewaySettings, that serves when this begins.

    `addresses` are those of "triton" and "store", `cpus` the processors that it may use: all unless given.
    """
    port, *metrics = _find_ports(1 + workers)
    wanted = {
        "listen": f"{HOST}:{port}",
        "metrics": f"{HOST}:{metrics[0]}",
        "triton": addresses["triton"],
        "store": addresses["store"],
        "models": models,
        "workers": workers,
        "balancer_wait": 0,
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SOSIE_")}
    environment |= {f"SOSIE_{name.upper()}": str(value) for name, value in wanted.items()}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sosie.gateway"], env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            if cpus:
                os.sched_setaffinity(process.pid, cpus)
            _wait_until_serving(process, metrics)
            yield RunningGateway(f"{HOST}:{port}", _find_children(process.pid) if workers > 1 else [process.pid])
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-2000:].decode())
            raise
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_serving(process: "subprocess.Popen[bytes]", metrics: Collection[int]) -> None:
    end = time.monotonic() + START_LIMIT
    while not all(_is_serving(port) for port in metrics):
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit("the gateway does not serve")
        time.sleep(0.1)


def _is_serving(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=5) as page:
            return b"\nsosie_serving 1.0" in page.read()
    except OSError:
        return False


def _find_ports(count: int) -> list[int]:
    """Free ports, one after the other but for the first: a worker's metrics are at the first's port plus its number."""
    for _ in range(100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            ports: list[int] = []
            for place in range(count):
                held = stack.enter_context(socket.socket())
                held.bind((HOST, ports[1] + place - 1 if place > 1 else 0))
                ports.append(held.getsockname()[1])
            return ports
    raise SystemExit(f"no {count} free ports in a row")


def _find_children(parent: int) -> list[int]:
    children = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    children.append(int(entry.name))
    return children
