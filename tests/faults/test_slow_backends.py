"""Backends that are slow, or hang, behind a network that is."""

import asyncio
import time
from collections import Counter

import grpc
import pytest

from faults.callers import MARGIN, Callers, must_be_told, settle
from faults.conftest import House
from faults.gateway_process import HealthWatch

pytestmark = pytest.mark.slow

LIMIT = 60.0
DELAY = 0.1
"""Seconds that each chunk of bytes is held back, on its way there and back."""


@pytest.mark.parametrize("slow", ["triton_proxy", "milvus_proxy"])
async def test_slow_backend(slow: str, house: House) -> None:
    """A backend that is slow within the callers' deadline fails nobody, and does not count as away."""
    proxy = getattr(house, slow)
    async with (
        house.gateway() as gateway,
        HealthWatch(gateway.address) as health,
        Callers(gateway.address, deadline=10) as callers,
    ):
        await health.until("SERVING", limit=LIMIT)
        await callers.until_all_answered(limit=LIMIT)
        began = time.monotonic()
        proxy.there.delay = proxy.back.delay = DELAY
        for _ in range(3):
            await callers.until_all_answered(limit=LIMIT)
        assert health.now == "SERVING"
    assert max(outcome.seconds for outcome in callers.since(began)) > 2 * DELAY, "the proxy delays"
    assert [outcome for outcome in callers.since(began) if not outcome.is_ok] == []


@pytest.mark.parametrize(
    ("hung", "through"), [("triton_proxy", "indexed"), ("milvus_proxy", "classify")], ids=["Triton", "Milvus"]
)
async def test_hung_backend(hung: str, through: str, house: House) -> None:
    """Before a backend that hangs each call of a flood ends in time; what needs another backend is answered."""
    proxy = getattr(house, hung)
    deadline = 1.0
    flood = ["text"] * 12
    async with (
        house.gateway(slots=2, queue=4) as gateway,
        HealthWatch(gateway.address) as health,
        Callers(gateway.address, deadline=deadline, questions=[through]) as others,
    ):
        await health.until("SERVING", limit=LIMIT)
        await others.until_all_answered(limit=LIMIT)
        served = time.monotonic()
        async with Callers(gateway.address, deadline=deadline, questions=flood) as callers:
            await callers.until_all_answered(limit=LIMIT)
            proxy.hold()
            began = time.monotonic()
            await callers.until(lambda later: any(o.seconds > deadline / 2 for o in later), limit=LIMIT)
            await others.until_all_answered(limit=LIMIT)
            proxy.release()
            ended = time.monotonic()
            await health.until("SERVING", limit=LIMIT)
            await callers.until_all_answered(limit=LIMIT)
        await gateway.until(lambda: gateway.metric("sosie_in_flight", method="SearchByText") == 0, limit=LIMIT)
        assert gateway.metric("sosie_queued", method="SearchByText") == 0
        assert gateway.slowest() <= deadline + MARGIN
    must_be_told(callers.outcomes, deadline)
    held = [outcome for outcome in callers.since(began) if outcome.began + outcome.seconds < ended]
    codes = Counter(outcome.code for outcome in held)
    assert codes[grpc.StatusCode.RESOURCE_EXHAUSTED] > 0, "more than slots and queue"
    assert codes[grpc.StatusCode.DEADLINE_EXCEEDED] + codes[grpc.StatusCode.UNAVAILABLE] > 0
    assert [outcome for outcome in others.since(served) if not outcome.is_ok] == []


async def test_throttled_network(house: House) -> None:
    """Over networks of 4 kB/s to both backends whoever fails is told in time, and afterwards all is as it was."""
    deadline = 1.0
    async with (
        house.gateway() as gateway,
        HealthWatch(gateway.address) as health,
        Callers(gateway.address, deadline=deadline) as callers,
    ):
        await health.until("SERVING", limit=LIMIT)
        await callers.until_all_answered(limit=LIMIT)
        before = {outcome.question: settle(outcome.answer) for outcome in callers.outcomes if outcome.is_ok}
        ways = [way for proxy in (house.triton_proxy, house.milvus_proxy) for way in (proxy.there, proxy.back)]
        for way in ways:
            way.rate = 4000
        for _ in range(3):
            await callers.until_all_asked(limit=LIMIT)
        for way in ways:
            way.rate = None
        await health.until("SERVING", limit=LIMIT)
        await callers.until_all_answered(limit=LIMIT)
        now = time.monotonic()
        await callers.until_all_answered(limit=LIMIT)
        slowest = await asyncio.to_thread(gateway.slowest)
    must_be_told(callers.outcomes, deadline)
    assert slowest <= deadline + MARGIN
    assert {outcome.question: settle(outcome.answer) for outcome in callers.since(now)} == before
