"""What TritonModels sends beside its tensors, and what it takes back, over a Triton whose answers are made up."""

import asyncio
import contextvars
from collections.abc import AsyncIterator

import numpy as np
import pytest

from canned_triton import CannedTriton, run_canned
from fakes import FAKE_SPACE
from sosie.engine import outgoing
from sosie.engine.errors import BackendTimeoutError
from sosie.engine.inference import Encoder, ServedModel, blank_pictures
from sosie.engine.triton import TritonModels
from sosie.local.triton import LocalTriton

TIMEOUT = 10.0


@pytest.fixture
async def triton() -> AsyncIterator[CannedTriton]:
    async with run_canned(CannedTriton()) as canned:
        yield canned


@pytest.fixture
async def models(triton: CannedTriton) -> AsyncIterator[TritonModels]:
    connected = await TritonModels.connect(triton.address, timeout=TIMEOUT)
    yield connected
    await connected.close()


@pytest.fixture
def encoder(models: TritonModels) -> Encoder:
    return models.encoders[FAKE_SPACE.name]


async def test_the_question_is_named(triton: CannedTriton, encoder: Encoder) -> None:
    """Each inference carries what names the question that it is for, in several batches too; others carry nothing."""
    pictures = blank_pictures(encoder.image_input, 9)

    async def answer() -> None:
        outgoing.METADATA.set((("x-request-id", "one"), ("traceparent", "00-1-2-01")))
        await encoder.encode_images(pictures, timeout=TIMEOUT)

    await asyncio.create_task(answer())
    assert [(sent.get("x-request-id"), sent.get("traceparent")) for sent in triton.metadata] == [
        ("one", "00-1-2-01")
    ] * 3
    nothing = contextvars.Context()
    await asyncio.create_task(encoder.encode_images(pictures[:1], timeout=TIMEOUT), context=nothing)
    assert "x-request-id" not in triton.metadata[-1]


@pytest.mark.parametrize("rows", [1, 9])
async def test_a_cancelled_question(triton: CannedTriton, encoder: Encoder, rows: int) -> None:
    """An inference whose question was given up is taken back from Triton."""
    triton.hold()
    asking = asyncio.create_task(encoder.encode_images(blank_pictures(encoder.image_input, rows), timeout=TIMEOUT))
    await asyncio.wait_for(triton.asked.wait(), TIMEOUT)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(triton.cancelled.wait(), TIMEOUT)


async def test_time_that_is_up(triton: CannedTriton, encoder: Encoder) -> None:
    """An inference whose time is up is taken back from Triton."""
    triton.hold()
    with pytest.raises(BackendTimeoutError):
        await encoder.encode_texts(np.ones((1, 3), np.int64), timeout=0.2)
    await asyncio.wait_for(triton.cancelled.wait(), TIMEOUT)


async def test_statistics(models: TritonModels) -> None:
    """Each model says what it is, and how often it was run on how many rows."""
    assert await models.statistics(timeout=TIMEOUT) == [
        ServedModel("canned_image", "image_encoder", FAKE_SPACE.name, {1: 5, 4: 2}),
        ServedModel("canned_text", "text_encoder", FAKE_SPACE.name, {1: 5, 4: 2}),
    ]


@pytest.mark.slow
async def test_a_real_triton(encoder_triton: LocalTriton) -> None:
    """A real server takes the metadata, and counts by the number of rows that it ran at once."""
    models = await TritonModels.connect(encoder_triton.grpc_address, timeout=TIMEOUT)
    before = {model.name: model for model in await models.statistics(timeout=TIMEOUT)}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    outgoing.METADATA.set((("x-request-id", "one"), ("traceparent", trace), ("tracestate", "shop=1")))
    await models.encoders["tiny-1"].encode_images(np.zeros((3, 8, 8, 3), np.uint8), timeout=TIMEOUT)
    wanted = before["tiny_image"].executions.get(3, 0) + 1
    async with asyncio.timeout(TIMEOUT):  # it counts after it has answered
        after = before
        while after["tiny_image"].executions.get(3, 0) != wanted:
            after = {model.name: model for model in await models.statistics(timeout=TIMEOUT)}
    assert (after["tiny_image"].role, after["tiny_image"].serves) == ("image_encoder", "tiny-1")
    assert (after["hue"].role, after["hue"].serves) == ("classifier", "hue")
    await models.close()
