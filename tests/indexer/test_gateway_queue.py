"""Standing back while a gateway's calls wait: over the metrics that a gateway really publishes, by HTTP on loopback."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import generate_latest

from sosie.gateway.telemetry import Telemetry
from sosie.indexer.encoding import gateway_queue
from sosie.indexer.encoding.gateway_queue import GatewayQueue, Reading, read_metrics, watch_gateways

LIMIT = 10.0
BOUND = 0.05


class PublishingGateway:
    """A gateway as far as its metrics go: what its calls waited is made up, what it says of it is not."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = generate_latest(gateway.telemetry.registry) if self.path == "/metrics" else b"up 1\n"
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answer(self, *waits: float) -> None:
        """Calls are answered that waited so many seconds each."""
        for wait in waits:
            self.telemetry._calls.add_steps({"wait": wait, "search": 0.01})

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(LIMIT)
        self._server.server_close()


@pytest.fixture
def gateway() -> Iterator[PublishingGateway]:
    made = PublishingGateway()
    yield made
    made.close()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_gate_follows_the_queue(gateway: PublishingGateway) -> None:
    """It closes when calls since the last look waited longer than the bound, and opens when they no longer do."""
    clock = Clock()
    told: list[str] = []
    gate = GatewayQueue([gateway.address], BOUND, tell=told.append, clock=clock)
    gateway.answer(5.0)  # of before: nobody knows how long ago
    for waits, is_open, queue_time in (
        ((), True, 0.0),
        ((0.0, 0.02), True, 0.01),
        ((0.2, 0.1), False, 0.15),
        ((0.2,), False, 0.2),
        ((), True, 0.0),
    ):
        gateway.answer(*waits)
        await gate.look()
        assert gate.is_open == is_open
        assert gate.queue_time == pytest.approx(queue_time)
        clock.now += 1.0
    assert gate.paused_seconds == 2.0
    assert gate.problem is None
    assert told == [
        "stands back: questions wait 0.15 s in a gateway's queue",
        "goes on, after 2 s in all that were left to questions",
    ]


async def test_calls_that_wait_without_end_count(gateway: PublishingGateway) -> None:
    """Where calls are queued and none got its turn, they have waited since the last look."""
    clock = Clock()
    gate = GatewayQueue([f"http://{gateway.address}/metrics"], BOUND, clock=clock)
    await gate.look()
    gateway.telemetry.queued.labels("SearchByImage").set(3)
    clock.now += 2.0
    await gate.look()
    assert (gate.is_open, gate.queue_time) == (False, 2.0)


async def test_the_slowest_gateway_counts(gateway: PublishingGateway) -> None:
    """Of several gateways one whose calls wait is enough; one that cannot be read holds nothing back, and is named."""
    idle = PublishingGateway()
    try:
        gate = GatewayQueue([gateway.address, idle.address, "127.0.0.1:1"], BOUND)
        await gate.look()
        gateway.answer(1.0)
        idle.answer(0.0)
        await gate.look()
        assert (gate.is_open, gate.queue_time) == (False, 1.0)
        assert gate.problem is not None
        assert "http://127.0.0.1:1/metrics" in gate.problem
    finally:
        idle.close()


async def test_a_gateway_that_goes_away_opens_the_gate() -> None:
    """When a gateway is gone, nobody waits in its queue."""
    gateway = PublishingGateway()
    gate = GatewayQueue([gateway.address], BOUND)
    try:
        await gate.look()
        gateway.answer(1.0)
        await gate.look()
        assert not gate.is_open
    finally:
        gateway.close()
    await gate.look()
    assert gate.is_open
    assert gate.problem is not None


async def test_a_page_of_something_else_is_named(gateway: PublishingGateway) -> None:
    """An address that is no gateway's metrics is told by what it lacks."""
    gate = GatewayQueue([f"http://{gateway.address}/other"], BOUND)
    await gate.look()
    assert gate.is_open
    assert gate.problem is not None
    assert "there is no sosie_step_duration_seconds" in gate.problem


def test_a_gateway_that_was_started_anew() -> None:
    """Counts that fell are those of another process: all of its calls are new."""
    before = Reading(waited=50.0, calls=1000.0, queued=0.0)
    assert Reading(waited=1.0, calls=10.0, queued=0.0).queue_time(before, 1.0) == 0.1


def test_a_gateway_without_a_call_yet() -> None:
    """A gateway that has answered nothing so far has an empty queue."""
    assert read_metrics(generate_latest(Telemetry().registry).decode()) == Reading(0.0, 0.0, 0.0)


async def test_a_request_waits_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch, gateway: PublishingGateway) -> None:
    """Where the gate stays closed, a request goes on after the longest pause all the same."""
    gate = GatewayQueue([gateway.address], BOUND)
    await gate.look()
    gateway.answer(1.0)
    await gate.look()
    waiting = asyncio.create_task(gate.wait_until_open())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    gate.release()
    await asyncio.wait_for(waiting, LIMIT)
    gateway.answer(1.0)
    await gate.look()
    assert gate.is_open  # released is released
    monkeypatch.setattr(gateway_queue, "LONGEST_PAUSE", 0.01)
    closed = GatewayQueue([gateway.address], BOUND)
    closed._turn(opened=False)
    await asyncio.wait_for(closed.wait_until_open(), LIMIT)


async def test_gateways_are_watched(gateway: PublishingGateway) -> None:
    """While the context lasts the gate follows by itself; without gateways it is always open."""
    async with watch_gateways([gateway.address], BOUND, every=0.01) as gate:

        async def until(*, is_open: bool) -> None:
            while gate.is_open != is_open:
                gateway.answer(0.0 if is_open else 1.0)
                await asyncio.sleep(0.01)

        await asyncio.wait_for(until(is_open=False), LIMIT)
        await asyncio.wait_for(until(is_open=True), LIMIT)
    async with watch_gateways([], BOUND) as gate:
        await asyncio.wait_for(gate.wait_until_open(), LIMIT)
