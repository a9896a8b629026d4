"""Several processes on one port: real ones, and programs that fail as a worker may."""

import asyncio
import os
import re
import signal
import socket
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lone_gateway import LIMIT, LoneGateway, wait_gone
from sosie.gateway import workers
from sosie.gateway.settings import GatewaySettings
from sosie.gateway.workers import Workers, reserve
from sosie.local.ports import find_ports
from sosie.local.waiting import wait_until
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LoneGateway]]:
    """Starts gateways of two workers, ended after the test."""
    with ExitStack() as stack:

        def make(**settings: str) -> LoneGateway:
            gateway = LoneGateway(tmp_path, **{"SOSIE_WORKERS": "2", **settings})
            stack.callback(gateway.close)
            return gateway

        yield make


def ask(port: int) -> str:
    """What a search over a connection of its own comes to."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=OWN_CONNECTION) as channel:
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.SearchByText(pb.SearchByTextRequest(sentence="boots"), timeout=LIMIT)
    error: Any = caught.value
    return str(error.code().name)


def count_calls(metrics: int) -> float:
    """The searches that the worker behind this port has answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=LIMIT) as page:
        lines = page.read().decode().splitlines()
    name = 'sosie_requests_total{code="UNAVAILABLE",method="SearchByText"} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.mark.slow
def test_workers_share_a_port(start: Callable[..., LoneGateway]) -> None:
    """Connections are shared out, each worker counts its own at a port of its own, and SIGTERM ends all with 0."""
    first = find_pair()
    gateway = start(SOSIE_METRICS=f"127.0.0.1:{first}")
    port = gateway.read_port()
    pids = gateway.find_workers()
    assert len(pids) == 2
    calls = 0
    while not (count_calls(first) and count_calls(first + 1)):
        assert ask(port) == "UNAVAILABLE"
        calls += 1
        assert calls < 100
    assert count_calls(first) + count_calls(first + 1) == calls
    gateway.process.terminate()
    assert gateway.end()[0] == 0
    assert wait_gone(pids)


def find_pair() -> int:
    """A port that is free, and the one above it too."""
    while True:
        port = find_ports(metrics=0)["metrics"]
        with socket.socket() as above:
            try:
                above.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.mark.slow
def test_killed_worker_is_replaced(start: Callable[..., LoneGateway]) -> None:
    """Another worker takes the place of one that was killed, at the same port for metrics."""
    first = find_pair()
    gateway = start(SOSIE_METRICS=f"127.0.0.1:{first}")
    gateway.read_port()
    killed = gateway.find_workers()[0]
    os.kill(killed, signal.SIGKILL)
    assert gateway.read_until(r"worker (\d) was killed by SIGKILL; another takes its place") in {"0", "1"}

    def both_answer() -> bool:
        try:
            return count_calls(first) + count_calls(first + 1) == 0
        except OSError:
            return False

    assert wait_until(both_answer, limit=LIMIT, pause=0.1)
    running = gateway.find_workers()
    assert len(running) == 2
    assert killed not in running


@pytest.mark.slow
def test_killed_parent_takes_its_workers_along(start: Callable[..., LoneGateway]) -> None:
    """No worker outlives its parent, however that ended."""
    gateway = start()
    gateway.read_port()
    pids = gateway.find_workers()
    gateway.process.kill()
    assert wait_gone(pids)


@pytest.mark.slow
def test_second_signal_ends_all_at_once(start: Callable[..., LoneGateway]) -> None:
    """Calls are taken while balancers are waited for; a second signal waits for nothing, and the status is 1."""
    gateway = start(SOSIE_BALANCER_WAIT="600")
    port = gateway.read_port()
    pids = gateway.find_workers()
    gateway.process.terminate()
    for _ in pids:
        gateway.read_until("stopping: (calls) are taken for 600 s more")
    assert ask(port) == "UNAVAILABLE"
    gateway.process.send_signal(signal.SIGINT)
    status, printed = gateway.end()
    assert (status, printed.splitlines()[-1]) == (1, "sosie gateway: stopped at once")
    assert wait_gone(pids)


@pytest.mark.slow
@pytest.mark.parametrize("others", ["1", "2"])
def test_taken_port_is_told(others: str, start: Callable[..., LoneGateway]) -> None:
    """A second gateway on the port is refused in one line, whether it is one process or several."""
    port = start().read_port()
    status, printed = start(SOSIE_LISTEN=f"127.0.0.1:{port}", SOSIE_WORKERS=others).end()
    assert status == 1
    assert re.fullmatch(r"sosie gateway: cannot listen on 127\.0\.0\.1:\d+: the port is taken.*\n", printed)
    assert ask(port) == "UNAVAILABLE"


@pytest.mark.slow
def test_worker_that_cannot_start(start: Callable[..., LoneGateway]) -> None:
    """A worker that cannot start ends all of them, with its reason in one line."""
    first = find_pair()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 1))
        taken.listen()
        gateway = start(SOSIE_METRICS=f"127.0.0.1:{first}", SOSIE_LOG_FORMAT="text")
        status, printed = gateway.end()
    assert status == 1
    (line,) = [line for line in printed.splitlines() if line.startswith("sosie gateway: ")]
    assert re.fullmatch(f".* worker 1 cannot start: cannot serve metrics on 127.0.0.1:{first + 1}: .*in use", line)
    assert "Traceback" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("count", ["1", "2"])
async def test_stopping_under_load(count: str, start: Callable[..., LoneGateway]) -> None:
    """While a gateway stops, callers in a tight loop see UNAVAILABLE and never a call that was cut off."""
    gateway = start(SOSIE_WORKERS=count)
    address = f"127.0.0.1:{await asyncio.to_thread(gateway.read_port)}"
    codes: Counter[str] = Counter()
    loaded, ended = asyncio.Event(), asyncio.Event()

    async def call_in_a_loop(stub: Any) -> None:
        while not ended.is_set():
            try:
                await stub.SearchByText(pb.SearchByTextRequest(sentence="boots"), timeout=LIMIT)
            except grpc.aio.AioRpcError as error:
                refused = "shutting down" in str(error.details())
                codes["SHUTTING_DOWN" if refused else error.code().name] += 1
                if codes.total() == 500:
                    loaded.set()

    channels = [grpc.aio.insecure_channel(address, options=OWN_CONNECTION) for _ in range(4)]
    stubs: list[Any] = [visual_search_pb2_grpc.VisualSearchServiceStub(channel) for channel in channels]
    callers = [asyncio.create_task(call_in_a_loop(stub)) for stub in stubs for _ in range(16)]
    async with asyncio.timeout(2 * LIMIT):
        await loaded.wait()
        gateway.process.terminate()
        status, _ = await asyncio.to_thread(gateway.end)
        ended.set()
        await asyncio.gather(*callers)
    for channel in channels:
        await channel.close(None)
    assert status == 0
    assert codes.keys() == {"UNAVAILABLE", "SHUTTING_DOWN"}


@pytest.mark.slow
def test_health_over_workers(start: Callable[..., LoneGateway]) -> None:
    """Each worker tells its health, and says NOT_SERVING to the end."""
    port = start().read_port()
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=OWN_CONNECTION) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        status = stub.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT).status
    assert status == health_pb2.HealthCheckResponse.NOT_SERVING


def run(settings: GatewaySettings, script: str) -> int:
    """The exit status of workers that are this script."""
    return asyncio.run(Workers(settings, "127.0.0.1:1", (sys.executable, "-c", script)).run())


@pytest.fixture
def pair(settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch) -> GatewaySettings:
    """The settings of two workers, which are replaced without a pause."""
    monkeypatch.setattr(workers, "_PAUSE", 0.0)
    return settings.model_copy(update={"workers": 2})


def test_worker_that_dies_again_and_again(pair: GatewaySettings, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that listens and dies six times in a row ends the whole."""
    assert run(pair, "print('listening', flush=True); raise SystemExit(3)") == 1
    assert "ended 6 times in a row: ended with status 3" in capsys.readouterr().err


def test_worker_that_falls_silent(
    pair: GatewaySettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker that says nothing any more is taken for stuck and killed."""
    monkeypatch.setattr(workers, "_SILENCE", 0.01)
    assert run(pair, "import signal; print('listening', flush=True); signal.pause()") == 1
    assert "6 times in a row: was killed, for it did not answer in time" in capsys.readouterr().err


def test_worker_that_never_listens(
    pair: GatewaySettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker that does not listen in time ends the whole."""
    monkeypatch.setattr(workers, "_START_LIMIT", 0.01)
    assert run(pair, "import signal; signal.pause()") == 1
    assert "cannot start: was killed, for it did not start in time" in capsys.readouterr().err


def test_reserved_port() -> None:
    """A reserved port is known before anybody listens, is nobody else's, and free again afterwards."""
    with ExitStack() as stack:
        address = reserve("127.0.0.1:0", stack)
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d+", address)
        with pytest.raises(OSError, match="the port is taken"):
            reserve(address, stack)
    with ExitStack() as stack:
        assert reserve(address, stack) == address
        assert reserve("localhost:0", stack).startswith("localhost:")
