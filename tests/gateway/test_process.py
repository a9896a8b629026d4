"""The gateway as a process: how it starts without its backends, and how it ends."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lone_gateway import LoneGateway
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc


@pytest.fixture
def process(tmp_path: Path) -> Iterator[LoneGateway]:
    started = LoneGateway(tmp_path)
    yield started
    started.close()


def test_starts_and_ends_without_backends(process: LoneGateway) -> None:
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
    started = LoneGateway(tmp_path, SOSIE_LISTEN="here", SOSIE_SLOTS="many")
    _, printed = started.process.communicate(timeout=20)
    assert started.process.returncode == 1
    assert "SOSIE_LISTEN" in printed
    assert "SOSIE_SLOTS" in printed
    assert "Traceback" not in printed


def test_taken_port_is_told(process: LoneGateway, tmp_path: Path) -> None:
    """A second gateway on the port is refused; after gRPC's own line comes one that says why."""
    second = LoneGateway(tmp_path, SOSIE_LISTEN=f"127.0.0.1:{process.read_port()}")
    _, printed = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert "Traceback" not in printed
    assert re.search(r"^sosie gateway: cannot listen .* taken", printed.splitlines()[-1])
