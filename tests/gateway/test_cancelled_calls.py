"""What becomes of a call whose caller goes away, over a Triton whose answers are made up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from canned_triton import CannedTriton, run_canned
from gateway_shop import Shop, draw
from sosie.gateway.main import Gateway, run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

TIMEOUT = 10.0
QUESTIONS = {
    "SearchByText": pb.SearchByTextRequest(sentence="red"),
    "SearchByImage": pb.SearchByImageRequest(image=pb.Image(data=draw("red", "shoe"))),
    "Classify": pb.ClassifyRequest(
        image=pb.Image(data=draw("red", "shoe")), label_sets=[pb.LabelSet(free=pb.FreeLabels(labels=["red", "blue"]))]
    ),
}


@pytest.fixture
async def triton(filled: Shop) -> AsyncIterator[CannedTriton]:
    async with run_canned(CannedTriton(tokenizer_sha256=filled.encoder.text_input.tokenizer_sha256)) as canned:
        yield canned


@pytest.fixture
async def gateway(filled: Shop, settings: GatewaySettings, triton: CannedTriton) -> AsyncIterator[Gateway]:
    backends = filled.behind_triton(triton.address)
    await backends.refresh()
    async with run_gateway(settings, backends) as running:
        yield running


@pytest.mark.parametrize("method", QUESTIONS)
@pytest.mark.parametrize("gone", ["cancelled", "out of time"])
async def test_triton_is_told(triton: CannedTriton, gateway: Gateway, method: str, gone: str) -> None:
    """An inference whose caller cancels, or has no time left, is taken back from Triton, and its slot is free again."""
    triton.hold("one")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        timeout = 0.5 if gone == "out of time" else TIMEOUT
        call = getattr(stub, method)(QUESTIONS[method], metadata=(("x-request-id", "one"),), timeout=timeout)
        await asyncio.wait_for(triton.asked.wait(), TIMEOUT)
        if gone == "cancelled":
            call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.wait_for(triton.cancelled.wait(), TIMEOUT)
        await getattr(stub, method)(QUESTIONS[method], timeout=TIMEOUT)
    code = "CANCELLED" if gone == "cancelled" else "DEADLINE_EXCEEDED"
    count = gateway.telemetry.registry.get_sample_value
    assert count("sosie_requests_total", {"method": method, "code": code}) == 1
    assert count("sosie_in_flight", {"method": method}) == 0
