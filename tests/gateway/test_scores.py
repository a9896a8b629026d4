"""Calibrated scores, as callers get them."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeModels
from gateway_shop import Shop, draw
from sosie.engine.calibration import Calibration
from sosie.gateway.main import run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

MEASURED = Calibration(("look", "colour"), (0.95, 0.9), (0.8, 0.6), ((0.01, 0.002), (0.002, 0.03)), 1.1, -0.2)


@pytest.fixture
async def stub(filled: Shop) -> AsyncIterator[Any]:
    """A gateway whose encoder is calibrated for pictures; the collection was built before it was."""
    space = dataclasses.replace(FAKE_SPACE, calibration={"image": MEASURED})
    filled.models = FakeModels([FakeEncoder(space, filled.encoder.text_input.tokenizer_sha256)])
    backends = filled.backends()
    await backends.refresh()
    async with (
        run_gateway(GatewaySettings(listen="127.0.0.1:0", grace=2, balancer_wait=0), backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        # Its generated types are those of blocking calls, whatever the channel.
        yield visual_search_pb2_grpc.VisualSearchServiceStub(channel)


def ask(**options: Any) -> pb.SearchByImageRequest:
    return pb.SearchByImageRequest(image=pb.Image(data=draw("red", "shoe")), options=pb.SearchOptions(**options))


async def test_scores_are_the_encoders(stub: Any) -> None:
    """Scores follow the encoder's figures, whatever the collection's own description says, in order of similarity."""
    hits = (await stub.SearchByImage(ask(explain=True))).hits
    curve = MEASURED.curve({"look": 1.0, "colour": 0.5})
    assert curve is not None
    assert len(hits) == 6
    for hit in hits:
        assert hit.score == pytest.approx(curve.score(1.5 * hit.similarity), abs=1e-5)
        assert sum(share.share for share in hit.shares) == pytest.approx(hit.similarity, abs=1e-5)
    similarities = [hit.similarity for hit in hits]
    assert similarities == sorted(similarities, reverse=True)
    assert hits[0].similarity == pytest.approx(1, abs=1e-5)
    assert hits[0].score < 0.999


async def test_min_score_cuts_by_scores(stub: Any) -> None:
    """min_score leaves out what scores less, also where its similarity is more."""
    hits = (await stub.SearchByImage(ask())).hits
    cut = hits[2].score - 1e-6
    assert hits[3].similarity > cut > hits[3].score
    kept = (await stub.SearchByImage(ask(min_score=cut))).hits
    assert [hit.product.product_id for hit in kept] == [hit.product.product_id for hit in hits[:3]]


async def test_sentences_without_figures(stub: Any) -> None:
    """A kind of question that was not measured scores by similarity."""
    hits = (await stub.SearchByText(pb.SearchByTextRequest(sentence="red shoe"))).hits
    assert hits
    assert [hit.score for hit in hits] == pytest.approx([hit.similarity for hit in hits])
