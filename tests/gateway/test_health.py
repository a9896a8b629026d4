"""The health service, over a server of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sosie.gateway.health import HealthService

UNKNOWN, SERVING, NOT_SERVING, NO_SERVICE = range(4)


@pytest.fixture
def health() -> HealthService:
    return HealthService(("", "shop"))


@pytest.fixture
async def stub(health: HealthService) -> AsyncIterator[Any]:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)
    await server.stop(None)


def ask(service: str = "shop") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


async def test_check(health: HealthService, stub: Any) -> None:
    """It is NOT_SERVING until it was told otherwise, for each service and for the server as a whole."""
    assert (await stub.Check(ask(), timeout=10)).status == NOT_SERVING
    health.tell(serving=True)
    assert [(await stub.Check(ask(name), timeout=10)).status for name in ("", "shop")] == [SERVING, SERVING]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(ask("other"), timeout=10)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_watchers_are_told(health: HealthService, stub: Any) -> None:
    """Every watcher hears of each change, also after another one has left."""
    leaving, staying = stub.Watch(ask()), stub.Watch(ask())
    async with asyncio.timeout(10):
        assert [(await watch.read()).status for watch in (leaving, staying)] == [NOT_SERVING, NOT_SERVING]
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving.read()
        for serving in (True, False, True):
            health.tell(serving=serving)
            assert (await staying.read()).status == (SERVING if serving else NOT_SERVING)


async def test_unknown_service_is_watched(stub: Any) -> None:
    """A watch of a service that is not there stays open, as the protocol wants it."""
    watch = stub.Watch(ask("other"))
    async with asyncio.timeout(10):
        assert (await watch.read()).status == NO_SERVICE
    assert not watch.done()


async def test_stopping(health: HealthService, stub: Any) -> None:
    """Once it stops it never says SERVING again, and its watches end after that was told."""
    health.tell(serving=True)
    watch = stub.Watch(ask())
    async with asyncio.timeout(10):
        assert (await watch.read()).status == SERVING
        health.stop()
        health.tell(serving=True)
        assert (await watch.read()).status == NOT_SERVING
        health.end_watches()
        assert not await watch.read()  # the end of the stream
    assert (await stub.Check(ask(), timeout=10)).status == NOT_SERVING
