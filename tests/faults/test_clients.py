"""Clients that are slow, many, or gone before their answer."""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio
import pytest

from faults.callers import ALONE, Callers, Outcome, ask, must_be_told, settle
from faults.conftest import House
from faults.gateway_process import HealthWatch, Held
from faults.proxy import Proxy
from sosie.v1 import visual_search_pb2_grpc

pytestmark = pytest.mark.slow

LIMIT = 60.0
CONNECTIONS = 1000
SLOW = 20
"""Slow clients, ten for each slot."""


async def connect(stack: AsyncExitStack, address: str) -> Any:
    """A stub over a connection of its own."""
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=ALONE))
    return visual_search_pb2_grpc.VisualSearchServiceStub(channel)


async def test_slow_upload(house: House) -> None:
    """Pictures that trickle in hold no slot and delay nobody; late ones end at their deadline, others are answered."""
    deadline = 2.0
    async with (
        house.gateway(slots=2, queue=2) as gateway,
        HealthWatch(gateway.address) as health,
        Proxy(gateway.address) as proxy,
        AsyncExitStack() as stack,
    ):
        await health.until("SERVING", limit=LIMIT)
        proxy.there.rate = 10_000
        stubs = [await connect(stack, proxy.address) for _ in range(SLOW)]
        uploads = [asyncio.create_task(ask(stub, "big picture", deadline)) for stub in stubs]
        async with Callers(gateway.address, deadline=deadline, questions=["image", "text"]) as callers:
            await callers.until_all_answered(limit=LIMIT)
        await gateway.until_idle(limit=LIMIT)
        assert not any(upload.done() for upload in uploads)
        outcomes = await asyncio.gather(*uploads)
        slow = await ask(stubs[0], "big picture", LIMIT)
    must_be_told(outcomes, deadline)
    assert {outcome.code for outcome in outcomes} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert [outcome for outcome in callers.outcomes if not outcome.is_ok] == []
    assert slow.is_ok
    assert slow.seconds > deadline


async def test_slow_reader(house: House) -> None:
    """Answers that nobody reads hold no slot and delay nobody else."""
    deadline = 4.0
    async with (
        house.gateway(slots=2, queue=SLOW) as gateway,
        HealthWatch(gateway.address) as health,
        Proxy(gateway.address, receive_buffer=4096) as proxy,
        AsyncExitStack() as stack,
    ):
        await health.until("SERVING", limit=LIMIT)
        proxy.back.rate = 20_000
        stubs = [await connect(stack, proxy.address) for _ in range(SLOW)]
        reading = [asyncio.create_task(ask(stub, "long answer", deadline)) for stub in stubs]
        await gateway.until(lambda: gateway.metric("sosie_requests_total", code="OK") >= SLOW, limit=LIMIT)
        async with Callers(gateway.address, deadline=deadline, questions=["text", "image"]) as callers:
            await callers.until_all_answered(limit=LIMIT)
        await gateway.until_idle(limit=LIMIT)
        assert not any(answer.done() for answer in reading)
        outcomes = await asyncio.gather(*reading)
    must_be_told(outcomes, deadline)
    assert {outcome.code for outcome in outcomes} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert [outcome for outcome in callers.outcomes if not outcome.is_ok] == []


async def test_a_thousand_connections(house: House) -> None:
    """1,000 connections that ask at once are answered or refused; idle they hinder nobody, and they leave nothing."""
    deadline = 20.0
    outcomes: list[Outcome] = []
    held: list[Held] = []
    async with (
        house.gateway() as gateway,
        HealthWatch(gateway.address) as health,
        AsyncExitStack() as stack,
    ):
        await health.until("SERVING", limit=LIMIT)
        callers = await stack.enter_async_context(Callers(gateway.address, deadline=deadline))
        await callers.until_all_answered(limit=LIMIT)
        before = gateway.held()
        for _ in range(5):
            async with AsyncExitStack() as crowd:
                stubs = [await connect(crowd, gateway.address) for _ in range(CONNECTIONS)]
                outcomes += await asyncio.gather(*(ask(stub, "text", deadline) for stub in stubs))
                assert gateway.held().files >= before.files + CONNECTIONS
                quiet = time.monotonic()
                await callers.until_all_answered(limit=LIMIT)
                assert [outcome for outcome in callers.since(quiet) if not outcome.is_ok] == []
                assert health.now == "SERVING"
            await gateway.until(lambda: gateway.held().files <= before.files + 2, limit=LIMIT)
            held.append(gateway.held())
    must_be_told(outcomes + callers.outcomes, deadline)
    assert {(outcome.code.name, outcome.reason) for outcome in outcomes} == {
        ("OK", ""),
        ("RESOURCE_EXHAUSTED", "OVERLOADED"),
    }
    # The first rounds fill the heap's gaps. A connection takes some 50 KB while it is there.
    left = (held[4].memory - held[2].memory) / (2 * CONNECTIONS)
    assert left < 5_000, f"{left:,.0f} bytes are left of each connection"


async def test_cancelled_calls(house: House) -> None:
    """Where a client cancels half of its calls the rest is answered as before, and no slot or place is lost."""
    chosen = random.Random(4)
    async with (
        house.gateway(slots=4, queue=1000) as gateway,
        HealthWatch(gateway.address) as health,
        AsyncExitStack() as stack,
    ):
        await health.until("SERVING", limit=LIMIT)
        stub = await connect(stack, gateway.address)
        before = {question: settle((await ask(stub, question, LIMIT)).answer) for question in ("text", "image")}

        async def cancel(question: str) -> None:
            call = asyncio.create_task(ask(stub, question, LIMIT))
            await asyncio.sleep(chosen.random() * 0.3)  # some before their turn, some at work, some after it
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

        answered = []
        for _ in range(4):
            questions = chosen.choices(list(before), k=100)
            cancelling = [asyncio.create_task(cancel(question)) for question in questions[::2]]
            answered += await asyncio.gather(*(ask(stub, question, LIMIT) for question in questions[1::2]))
            await asyncio.gather(*cancelling)
        await gateway.until_idle(limit=LIMIT)
        assert await asyncio.to_thread(gateway.metric, "sosie_requests_total", code="CANCELLED") > 0
        answered += [await ask(stub, question, LIMIT) for question in before]
    assert {outcome.code for outcome in answered} == {grpc.StatusCode.OK}
    assert all(settle(outcome.answer) == before[outcome.question] for outcome in answered)
