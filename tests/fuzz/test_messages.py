"""Hostile requests: each is answered in time by a code that is the caller's to act on, and harms no other call."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from fuzz.messages import REQUESTS, draw_request, good_questions
from fuzz.seeds import choose_seeds, start
from sosie.v1 import visual_search_pb2 as pb
from stack_fixtures import Served

KEPT: Sequence[int] = (1, 174, 187)
"""Seeds that found something once: bytes that are no message; errors that quoted more than a header holds."""

SHARE, REAL_SHARE = 0.375, 0.025
DEADLINE = 20.0
"""Seconds for an answer; one that takes longer is a hang."""
CALLS_AT_ONCE = 16
ALLOWED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}
ANSWERS: Any = {
    "Classify": pb.ClassifyResponse,
    "SearchByImage": pb.SearchByImageResponse,
    "SearchByText": pb.SearchByTextResponse,
}


def draw_metadata(rng: random.Random) -> list[tuple[str, str | bytes]]:
    """What a caller may send beside the request, within the 8 KiB that gRPC takes."""
    if rng.random() < 0.7:
        return []
    keys = ("x-request-id", "traceparent", "tracestate", "authorization", "x-api-key", "anything", "user-agent")
    values = ("", "a" * 2000, "00-" + "0" * 32 + "-" + "f" * 16 + "-01", "00-zz-zz-01", "Bearer ", "a=b," * 50, "%00")
    drawn: list[tuple[str, str | bytes]] = [(rng.choice(keys), rng.choice(values)) for _ in range(3)]
    return [*drawn, ("anything-bin", rng.randbytes(50))]


async def ask(channel: grpc.aio.Channel, rpc: str, request: bytes, metadata: Any = ()) -> bytes:
    """The bytes of the answer to the bytes of a request."""
    call: Any = channel.unary_unary(
        f"/sosie.v1.VisualSearchService/{rpc}", request_serializer=None, response_deserializer=None
    )
    answer: bytes = await call(request, timeout=DEADLINE, metadata=tuple(metadata))
    return answer


async def ask_well(channel: grpc.aio.Channel) -> dict[str, dict[str, Any]]:
    """What good questions find: the name of the best, and all scores, to what a model's batches leave alike."""
    found = {}
    for rpc, request in good_questions().items():
        answer = ANSWERS[rpc].FromString(await ask(channel, rpc, request))
        if rpc == "Classify":
            named = [(label.label, label.score) for said in answer.classifications for label in said.labels]
        else:
            named = [(hit.product.product_id, hit.score) for hit in answer.hits]
        found[rpc] = {"best": named[0][0], "scores": [score for _, score in named]}
    return found


async def find_fault(channel: grpc.aio.Channel, seed: int) -> str:
    """What is wrong with the answer to the request of this seed; empty where nothing is."""
    rng = start("message", seed)
    rpc, request = draw_request(rng)
    try:
        ANSWERS[rpc].FromString(await ask(channel, rpc, request, draw_metadata(rng)))
    except grpc.aio.AioRpcError as error:
        if error.code() not in ALLOWED:
            return f"{rpc} {error.code()} {error.details()}"
        metadata: Any = error.trailing_metadata() or ()
        details = dict(metadata).get("grpc-status-details-bin", b"")
        status = status_pb2.Status.FromString(details)
        if not any(detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR) for detail in status.details):
            return f"{rpc} {error.code()} without details: {error.details()}"
    return ""


async def find_faults(channel: grpc.aio.Channel, seeds: Sequence[int]) -> list[str]:
    """The faults of all these requests, several at once; the same good questions are answered before and after."""
    before = await ask_well(channel)
    places = asyncio.Semaphore(CALLS_AT_ONCE)
    faults = []

    async def run(seed: int) -> None:
        async with places:
            if fault := await find_fault(channel, seed):
                faults.append(f"seed {seed}: {fault}")

    await asyncio.gather(*map(run, seeds))
    for rpc, after in (await ask_well(channel)).items():
        if after["best"] != before[rpc]["best"] or after["scores"] != pytest.approx(before[rpc]["scores"], abs=1e-3):
            faults.append(f"{rpc} answers otherwise than before: {before[rpc]} {after}")
    return faults


@pytest.mark.slow
async def test_hostile_requests(fake_channel: grpc.aio.Channel) -> None:
    """No request to a gateway over fakes is answered with INTERNAL or UNKNOWN, or not at all."""
    faults = await find_faults(fake_channel, choose_seeds(SHARE, KEPT))
    assert not faults, (len(faults), faults[:20])


@pytest.mark.slow
async def test_hostile_requests_to_real_servers(served: Served) -> None:
    """No request to a gateway before a real Triton and Milvus is answered with INTERNAL or UNKNOWN, or not at all."""
    async with grpc.aio.insecure_channel(served.stack.addresses["gateway"]) as channel:
        faults = await find_faults(channel, choose_seeds(REAL_SHARE, KEPT))
    assert not faults, (len(faults), faults[:20])


async def test_most_requests_are_read(fake_channel: grpc.aio.Channel) -> None:
    """The requests reach what they are to test: of 200 a third is answered, and every rpc is asked."""
    asked, answered = set(), 0
    for seed in range(200):
        rpc, request = draw_request(start("message", seed))
        asked.add(rpc)
        try:
            await ask(fake_channel, rpc, request)
        except grpc.aio.AioRpcError:
            continue
        answered += 1
    assert asked == set(REQUESTS)
    assert 60 < answered < 180
