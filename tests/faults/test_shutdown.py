"""SIGTERM under load."""

import asyncio
import time
from contextlib import AsyncExitStack

import grpc.aio
import pytest

from faults.callers import MARGIN, Callers, ask
from faults.conftest import House
from faults.gateway_process import HealthWatch
from sosie.v1 import visual_search_pb2_grpc

pytestmark = pytest.mark.slow

LIMIT = 60.0
GRACE = 10.0
BALANCER_WAIT = 1.0


async def test_accepted_calls_are_answered(house: House) -> None:
    """After SIGTERM the calls in slots, and those that wait for one, are answered; the gateway ends with status 0."""
    async with (
        house.gateway(slots=2, queue=8, grace=GRACE) as gateway,
        HealthWatch(gateway.address) as health,
        grpc.aio.insecure_channel(gateway.address) as channel,
    ):
        await health.until("SERVING", limit=LIMIT)
        stub = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        assert (await ask(stub, "text", LIMIT)).is_ok
        house.milvus_proxy.back.delay = 0.5
        calls = [asyncio.create_task(ask(stub, "text", LIMIT)) for _ in range(6)]
        await gateway.until(
            lambda: (gateway.metric("sosie_in_flight"), gateway.metric("sosie_queued")) == (2, 4), limit=LIMIT
        )
        terminated = time.monotonic()
        gateway.terminate()
        outcomes = await asyncio.gather(*calls)
        assert [outcome for outcome in outcomes if not outcome.is_ok] == []
        assert await gateway.exit_status(limit=LIMIT) == 0
        assert time.monotonic() - terminated < GRACE
        assert "NOT_SERVING" in [status for _, status in health.said]


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_under_load(workers: int, house: House) -> None:
    """After SIGTERM calls are answered until health has long said NOT_SERVING, then told UNAVAILABLE; status 0."""
    async with (
        house.gateway(workers=workers, grace=GRACE, balancer_wait=BALANCER_WAIT) as gateway,
        HealthWatch(gateway.address) as health,
        AsyncExitStack() as stack,
    ):
        await health.until("SERVING", limit=LIMIT)
        crowds = [await stack.enter_async_context(Callers(gateway.address, deadline=5)) for _ in range(4)]
        for callers in crowds:
            await callers.until_all_answered(limit=LIMIT)
        terminated = time.monotonic()
        gateway.terminate()
        assert await gateway.exit_status(limit=LIMIT) == 0
        ended = time.monotonic()
        for callers in crowds:
            await callers.until_all_asked(limit=LIMIT)
    assert ended - terminated < GRACE
    told = [moment for moment, status in health.said if status == "NOT_SERVING"][-1]
    assert told - terminated < MARGIN
    failed = [outcome for callers in crowds for outcome in callers.since(terminated) if not outcome.is_ok]
    assert {(outcome.code, outcome.reason) for outcome in failed} <= {
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN"),
        (grpc.StatusCode.UNAVAILABLE, ""),  # nobody listens any more
    }
    assert min(outcome.began + outcome.seconds for outcome in failed) > terminated + BALANCER_WAIT
