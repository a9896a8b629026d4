"""The gateway as a process: how it starts without its backends, and how it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens there


class Process:
    """`python -m sosie.gateway` over backends that are away."""

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

    def read_port(self) -> int:
        """The port that it says it listens on."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
            if found:
                return int(found[1])
        raise AssertionError("the gateway ended without listening")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path)
    yield started
    started.process.kill()
    started.process.communicate(timeout=10)


def test_starts_and_ends_without_backends(process: Process) -> None:
    """Without Triton and Milvus it says NOT_SERVING, refuses with UNAVAILABLE, and SIGTERM ends it with status 0."""
    with grpc.insecure_channel(f"127.0.0.1:{process.read_port()}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=10).status == 2  # NOT_SERVING
        search: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            search.SearchByText(pb.SearchByTextRequest(sentence="boots"), timeout=10)
        error: Any = caught.value
        assert error.code() == grpc.StatusCode.UNAVAILABLE
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(timeout=20) == 0


def test_every_wrong_setting_is_told(tmp_path: Path) -> None:
    """Wrong settings are told all at once, without a traceback."""
    started = Process(tmp_path, SOSIE_LISTEN="here", SOSIE_SLOTS="many")
    _, printed = started.process.communicate(timeout=20)
    assert started.process.returncode == 1
    assert "SOSIE_LISTEN" in printed
    assert "SOSIE_SLOTS" in printed
    assert "Traceback" not in printed


def test_taken_port_is_told(process: Process, tmp_path: Path) -> None:
    """A second gateway on the port is refused; after gRPC's own line comes one that says why."""
    second = Process(tmp_path, SOSIE_LISTEN=f"127.0.0.1:{process.read_port()}")
    _, printed = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert "Traceback" not in printed
    assert re.search(r"^sosie gateway: cannot listen .* taken", printed.splitlines()[-1])
