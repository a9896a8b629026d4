"""SIGTERM under load."""

import asyncio
import time

import grpc.aio
import pytest

from faults.callers import Callers, ask
from faults.conftest import House
from faults.gateway_process import HealthWatch
from sosie.v1 import visual_search_pb2_grpc

pytestmark = pytest.mark.slow

LIMIT = 60.0
GRACE = 10.0


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


async def test_sigterm_under_load(house: House) -> None:
    """Under load each call around SIGTERM is answered or told UNAVAILABLE; none fails while health says SERVING."""
    async with house.gateway(grace=GRACE) as gateway, HealthWatch(gateway.address) as health:
        await health.until("SERVING", limit=LIMIT)
        async with Callers(
            gateway.address, deadline=5, questions=["text", "image", "indexed", "classify"] * 4
        ) as callers:
            await callers.until_all_answered(limit=LIMIT)
            terminated = time.monotonic()
            gateway.terminate()
            assert await gateway.exit_status(limit=LIMIT) == 0
            ended = time.monotonic()
            await callers.until_all_asked(limit=LIMIT)
    assert ended - terminated < GRACE
    failed = [outcome for outcome in callers.outcomes if not outcome.is_ok]
    told = [moment for moment, status in health.said if status == "NOT_SERVING"][-1]
    assert {outcome.code for outcome in failed} == {grpc.StatusCode.UNAVAILABLE}
    assert min(outcome.began + outcome.seconds for outcome in failed) >= told
