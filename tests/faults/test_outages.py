"""A backend that goes away under load, in several ways, and comes back."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from faults.callers import COMMON, MARGIN, Callers, must_be_told, settle
from faults.conftest import LEASE, House
from faults.gateway_process import HealthWatch
from faults.proxy import Proxy
from sosie.local.processes import Child

pytestmark = pytest.mark.slow

DEADLINE = 1.0
LIMIT = 60.0
NOTICED = 8.0
"""Seconds from the fault to NOT_SERVING: 2 between two looks, 5 for a look at what does not answer, and one more."""
BACK = LEASE + 5.0
"""Seconds from the backend's return to SERVING: a Milvus that was killed waits for its former self's lease."""


@asynccontextmanager
async def killed_triton(house: House) -> AsyncIterator[None]:
    os.kill(house.triton.server.pid, signal.SIGKILL)
    try:
        yield
    finally:
        await asyncio.to_thread(house.triton.restart)


@asynccontextmanager
async def killed_milvus(house: House) -> AsyncIterator[None]:
    await asyncio.to_thread(house.milvus.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(house.milvus.start)


@asynccontextmanager
async def stopped(child: Child | None) -> AsyncIterator[None]:
    assert child is not None
    os.kill(child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child.pid, signal.SIGCONT)


@asynccontextmanager
async def refused(proxy: Proxy) -> AsyncIterator[None]:
    proxy.refuse()
    yield
    proxy.accept()


TRITON = {"text", "image", "classify"}
MILVUS = {"text", "image", "indexed"}

FAULTS: dict[str, tuple[Callable[[House], AbstractAsyncContextManager[None]], set[str]]] = {
    "Triton killed": (killed_triton, TRITON),
    "Triton stopped": (lambda house: stopped(house.triton.server), TRITON),
    "Triton unreachable": (lambda house: refused(house.triton_proxy), TRITON),
    "Milvus killed": (killed_milvus, MILVUS),
    "Milvus stopped": (lambda house: stopped(house.milvus.service.child), MILVUS),
    "Milvus unreachable": (lambda house: refused(house.milvus_proxy), MILVUS),
}
"""How a backend goes away until the end of the context, and the questions that cannot be answered meanwhile."""


@pytest.mark.parametrize(("fault", "hit"), FAULTS.values(), ids=FAULTS)
async def test_outage(fault: Callable[[House], AbstractAsyncContextManager[None]], hit: set[str], house: House) -> None:
    """Whom an outage hits is told by the table in time, the rest is answered; health follows, and all comes back."""
    async with (
        house.gateway() as gateway,
        HealthWatch(gateway.address) as health,
        Callers(gateway.address, deadline=DEADLINE) as callers,
    ):
        await health.until("SERVING", limit=LIMIT)
        await callers.until_all_answered(limit=LIMIT)
        before = {outcome.question: settle(outcome.answer) for outcome in callers.outcomes if outcome.is_ok}

        began = time.monotonic()
        async with fault(house):
            await health.until("NOT_SERVING", limit=NOTICED)
            noticed = time.monotonic()
            await callers.until_all_asked(limit=LIMIT)
            over = time.monotonic()
        await health.until("SERVING", limit=BACK)
        served = time.monotonic()
        await callers.until_all_answered(limit=LIMIT)
        slowest = await asyncio.to_thread(gateway.slowest)

    must_be_told(callers.outcomes, DEADLINE)
    assert slowest <= DEADLINE + MARGIN
    away = [outcome for outcome in callers.since(noticed) if outcome.began + outcome.seconds < over]
    assert {outcome.question for outcome in away if outcome.is_ok} == set(COMMON) - hit
    assert max(outcome.seconds for outcome in away if not outcome.is_ok) < MARGIN, "known to be away: refused at once"
    assert {outcome.question for outcome in callers.since(began) if not outcome.is_ok} == hit
    after = callers.since(served)
    assert [outcome for outcome in after if not outcome.is_ok] == [], "health said SERVING"
    assert {outcome.question: settle(outcome.answer) for outcome in after} == before


async def test_flapping_connections(house: House) -> None:
    """Connections that break all the time cost calls, told UNAVAILABLE, and no file, thread or slot for good."""
    async with (
        house.gateway() as gateway,
        HealthWatch(gateway.address) as health,
        Callers(gateway.address, deadline=DEADLINE) as callers,
    ):
        await health.until("SERVING", limit=LIMIT)
        for proxy in (house.triton_proxy, house.milvus_proxy):  # the first time leaves what stays
            proxy.reset()
        await callers.until_all_answered(limit=LIMIT)
        before = gateway.held()
        for _ in range(20):
            for proxy in (house.triton_proxy, house.milvus_proxy):
                proxy.reset()
            await callers.until_all_asked(limit=LIMIT)
        await callers.until_all_answered(limit=LIMIT)
        await health.until("SERVING", limit=LIMIT)
        after = gateway.held()
    must_be_told(callers.outcomes, DEADLINE)
    assert after.files <= before.files + 2
    assert after.threads <= before.threads + 2
