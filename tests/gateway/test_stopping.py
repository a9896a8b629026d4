"""How a gateway stops: who is answered, who is refused, and what holds it up."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from fakes import FakeStore
from gateway_shop import Shop
from sosie.gateway.gate import Gate, ShuttingDownError
from sosie.gateway.main import Gateway, run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc


@dataclass
class SlowSearch:
    """Stands before a store's search: says that it was asked, and lets it go on when a test says so."""

    search: Any
    began: asyncio.Event = field(default_factory=asyncio.Event)
    going: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.began.set()
        await self.going.wait()
        return await self.search(*arguments, **named)


@pytest.fixture
def slow(filled: Shop, monkeypatch: pytest.MonkeyPatch) -> SlowSearch:
    made = SlowSearch(filled.store.search)
    monkeypatch.setattr(FakeStore, "search", made)
    return made


class Running:
    """A gateway that a test stops itself, with a channel to it."""

    def __init__(self, shop: Shop, settings: GatewaySettings) -> None:
        self._shop = shop
        self._settings = settings
        self._stack = AsyncExitStack()

    async def start(self) -> Gateway:
        backends = self._shop.backends()
        await backends.refresh()
        self.gateway = await self._stack.enter_async_context(run_gateway(self._settings, backends))
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.gateway.port}")
        return self.gateway

    def search(self) -> "asyncio.Future[pb.SearchByTextResponse]":
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(self.channel)
        call: asyncio.Future[pb.SearchByTextResponse] = asyncio.ensure_future(
            stub.SearchByText(pb.SearchByTextRequest(sentence="red shoe"), timeout=20)
        )
        return call

    def stop(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self._stack.aclose())

    async def close(self) -> None:
        await self.channel.close(None)
        await self._stack.aclose()


@pytest.fixture
async def running(filled: Shop, settings: GatewaySettings) -> Any:
    started = Running(filled, settings)
    await started.start()
    yield started
    await started.close()


def reason(error: Any) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return str(info.reason)


async def test_calls_under_way_are_answered(running: Running, slow: SlowSearch) -> None:
    """A call that came before the gateway stops is answered; one that comes later is refused by a clear error."""
    call = running.search()
    await asyncio.wait_for(slow.began.wait(), 10)
    stopping = running.stop()
    await asyncio.sleep(0)  # the gate closes before the first await
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.search()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert reason(caught.value) == "SHUTTING_DOWN"
    assert not stopping.done()
    slow.going.set()
    assert (await call).hits
    await stopping


async def test_call_that_takes_too_long(filled: Shop, settings: GatewaySettings, slow: SlowSearch) -> None:
    """A call that is not done within the grace is told so, and holds the gateway no longer."""
    running = Running(filled, settings.model_copy(update={"grace": 0.1}))
    await running.start()
    call = running.search()
    await asyncio.wait_for(slow.began.wait(), 10)
    async with asyncio.timeout(10):
        await running.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert reason(caught.value) == "SHUTTING_DOWN"
    await running.close()


async def test_watchers_do_not_hold_it_up(filled: Shop, settings: GatewaySettings) -> None:
    """Whoever watches its health learns that it stops, and does not keep it from doing so."""
    running = Running(filled, settings.model_copy(update={"grace": 600}))
    await running.start()
    health: Any = health_pb2_grpc.HealthStub(running.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    async with asyncio.timeout(20):
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        await running.stop()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not await watch.read()  # the end of the stream
    await running.close()


async def test_gate_that_is_closed_empty() -> None:
    """A gate through which nobody went is empty at once, and refuses only after it was told to."""
    gate = Gate()
    gate.close()
    await gate.wait_empty(0)

    async def enter() -> None:
        async with gate:
            raise AssertionError("nobody comes in")

    entering = asyncio.create_task(enter())
    await asyncio.sleep(0)
    assert not entering.done()
    gate.refuse()
    with pytest.raises(ShuttingDownError):
        await entering


async def test_callers_that_leave_stay_cancelled() -> None:
    """A call that its caller cancelled is not told that the gateway stops."""
    gate = Gate()
    inside = asyncio.Event()

    async def work() -> None:
        async with gate:
            inside.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await inside.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    gate.close()
    await gate.wait_empty(0)
