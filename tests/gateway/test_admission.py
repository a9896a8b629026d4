"""Slots, the queue and refusals."""

import asyncio

import pytest

from sosie.engine.errors import BackendTimeoutError
from sosie.gateway.admission import Admission, OverloadedError


async def test_slots_then_queue_then_refusal() -> None:
    """Calls take the slots, then wait in the queue; the next is refused at once and told when to come back."""
    admission = Admission(slots=1, queue=1)
    await admission.acquire(timeout=1)
    waiting = asyncio.create_task(admission.acquire(timeout=5))
    await asyncio.sleep(0)
    assert (admission.in_flight, admission.waiting) == (1, 1)
    with pytest.raises(OverloadedError) as caught:
        await admission.acquire(timeout=1)
    assert caught.value.retry_after > 0
    admission.release(seconds=0.1)
    await waiting
    assert (admission.in_flight, admission.waiting) == (1, 0)


async def test_wait_has_a_limit() -> None:
    """A call that waits longer than its time gives up its place, and the slot is not lost."""
    admission = Admission(slots=1, queue=1)
    await admission.acquire(timeout=1)
    with pytest.raises(BackendTimeoutError):
        await admission.acquire(timeout=0.01)
    assert admission.waiting == 0
    admission.release(seconds=0.1)
    await admission.acquire(timeout=1)


async def test_cancelled_wait_leaves_the_queue() -> None:
    """A caller that goes away while it waits leaves its place to the next."""
    admission = Admission(slots=1, queue=1)
    await admission.acquire(timeout=1)
    waiting = asyncio.create_task(admission.acquire(timeout=5))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert admission.waiting == 0
    admission.release(seconds=0.1)
    await admission.acquire(timeout=1)
