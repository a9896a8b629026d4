"""Slots, the queue and refusals."""

import asyncio

import pytest

from sosie.engine.errors import BackendTimeoutError
from sosie.gateway.admission import Admission, DeadlineTooShortError, OverloadedError


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


async def make_busy(seconds: float, *, slots: int = 1, queue: int = 8) -> Admission:
    """An admission whose slots are all taken, by calls that usually take `seconds`."""
    admission = Admission(slots, queue)
    await admission.acquire(timeout=1)
    admission.release(seconds)
    for _ in range(slots):
        await admission.acquire(timeout=60)
    return admission


async def test_a_deadline_before_the_usual_end_is_refused_at_once() -> None:
    """A call with less time than calls take now is refused although a slot is free."""
    admission = Admission(slots=2, queue=2)
    await admission.acquire(timeout=1)
    admission.release(seconds=0.2)
    await admission.acquire(timeout=1)
    with pytest.raises(DeadlineTooShortError, match="100 ms is too short, such calls take 200 ms"):
        await admission.acquire(timeout=0.1)
    assert admission.in_flight == 1


async def test_a_queue_too_long_for_the_deadline_is_refused_at_once() -> None:
    """A call that would be served too late for the queue before it is refused while the queue has room."""
    admission = await make_busy(0.2)
    waiting = [asyncio.create_task(admission.acquire(timeout=10)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError) as caught:
        await admission.acquire(timeout=0.9)  # four turns of 0.2 s before its own of 0.2 s
    assert caught.value.retry_after == pytest.approx(0.8)
    assert admission.waiting == 3
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_old_mean_refuses_nobody_for_ever() -> None:
    """While no call is under way any deadline is tried, so that a slow minute is forgotten."""
    admission = Admission(slots=1, queue=1)
    await admission.acquire(timeout=1)
    admission.release(seconds=30)
    await admission.acquire(timeout=0.1)
    assert admission.in_flight == 1


async def test_a_slot_goes_to_whom_it_still_helps() -> None:
    """A call for which too little time is left when a slot comes free is told so, and the next gets the slot."""
    admission = await make_busy(0.001, slots=2)
    short = asyncio.create_task(admission.acquire(timeout=5))
    long = asyncio.create_task(admission.acquire(timeout=500))
    await asyncio.sleep(0)
    admission.release(seconds=100)  # the mean is 10 s now
    await asyncio.wait_for(long, 1)
    with pytest.raises(BackendTimeoutError):
        await short
    assert (admission.in_flight, admission.waiting) == (2, 0)


async def test_a_slot_that_was_handed_to_a_caller_who_left_is_not_lost() -> None:
    """A call cancelled in the moment in which it gets its slot hands it on."""
    admission = await make_busy(0.001)
    leaving = asyncio.create_task(admission.acquire(timeout=5))
    staying = asyncio.create_task(admission.acquire(timeout=5))
    await asyncio.sleep(0)
    admission.release(seconds=0.001)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    await asyncio.wait_for(staying, 1)
    assert (admission.in_flight, admission.waiting) == (1, 0)
