"""Weights by category, as questions get them: from the filter, or from what a classifier is sure of."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import numpy.typing as npt
import pytest

from fakes import FAKE_SPACE, FakeClassifier, FakeEncoder, FakeModels, unit
from gateway_shop import Shop, draw
from sosie.engine.errors import BackendUnavailableError
from sosie.engine.inference import Pictures
from sosie.engine.space import Parts
from sosie.gateway.main import run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.gateway.weighting import Weighting, run_beside
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

POLICY = """
classifier = "hue"
threshold = 0.55

[categories.shoe]
colour = 4
look = 1

[categories.Red]
colour = 1

[categories.blind]
look = 0
words = 1
"""

IMAGE: Parts = {"look": unit(np.arange(12.0)), "colour": unit(np.ones(3)), "meaning": unit(np.ones(8))}
TEXT: Parts = {"meaning": unit(np.ones(8)), "words": unit(np.ones(8))}

Ask = Callable[[str], AbstractAsyncContextManager[Any]]


class Failing(FakeClassifier):
    """`error` is what asking it raises."""

    def __init__(self) -> None:
        self.error: BackendUnavailableError | None = None

    async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
        if self.error:
            raise self.error
        return await super().classify(pictures, timeout=timeout)


@pytest.fixture
def classifier(filled: Shop) -> Failing:
    watched = Failing()
    filled.models.classifiers = {"hue": watched}
    return watched


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@asynccontextmanager
async def serve(shop: Shop, policy: Path) -> AsyncIterator[Any]:
    """A stub of a gateway with this policy."""
    backends = shop.backends()
    await backends.refresh()
    async with (
        run_gateway(
            GatewaySettings(listen="127.0.0.1:0", policy=policy, grace=2, balancer_wait=0), backends
        ) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        # Its generated types are those of blocking calls, whatever the channel.
        yield visual_search_pb2_grpc.VisualSearchServiceStub(channel)


def ask(kind: str = "hat", **options: Any) -> pb.SearchByImageRequest:
    return pb.SearchByImageRequest(image=pb.Image(data=draw("red", kind)), options=pb.SearchOptions(**options))


def told(answer: Any) -> tuple[list[str], dict[str, float]]:
    """The category and the weights, above 0, that an answer tells."""
    weights = {part.name: round(part.weight, 4) for part in answer.space.parts if part.weight}
    return list(answer.space.category_path), weights


def was_classified(answer: Any) -> bool:
    return "classify" in {step.step for step in answer.step_times}


@pytest.mark.usefixtures("classifier")
async def test_category_of_the_filter(filled: Shop, policy: Path) -> None:
    """A question that names a category gets its weights, and no classifier is asked."""
    async with serve(filled, policy) as stub:
        answer = await stub.SearchByImage(ask(filter=pb.Filter(category_prefix=["Things", "Shoe"])))
        sentence = pb.SearchOptions(filter=pb.Filter(category_prefix=["Things", "Shoe"]))
        by_text = await stub.SearchByText(pb.SearchByTextRequest(sentence="red", options=sentence))
    assert told(answer) == (["shoe"], {"look": 0.3, "colour": 1.2})
    assert told(by_text) == ([], {"meaning": 0.5, "words": 1.0})  # knows neither look nor colour
    assert answer.hits
    assert not was_classified(answer)


@pytest.mark.usefixtures("classifier")
async def test_category_that_a_classifier_is_sure_of(filled: Shop, policy: Path) -> None:
    """Where a classifier is sure, its label is the category; where it is not, the space's weights hold."""
    async with serve(filled, policy) as stub:
        sure = await stub.SearchByImage(ask("hat"))
        unsure = await stub.SearchByImage(ask("shoe"))
    assert told(sure) == (["Red"], {"look": 1.0, "colour": 0.5})
    assert told(unsure) == ([], {"look": 1.0, "colour": 0.5})
    assert was_classified(sure)
    assert was_classified(unsure)


@pytest.mark.usefixtures("classifier")
async def test_own_weights_go_first(filled: Shop, policy: Path) -> None:
    """A question's own weights stand in place of its category's, part by part; with any no classifier is asked."""
    async with serve(filled, policy) as stub:
        mixed = await stub.SearchByImage(ask(weights={"look": 7}, filter=pb.Filter(category_prefix=["Things", "Shoe"])))
        alone = await stub.SearchByImage(ask(weights={"look": 7}))
    assert told(mixed) == (["shoe"], {"look": 7.0, "colour": 1.2})
    assert told(alone) == ([], {"look": 7.0, "colour": 0.5})
    assert not was_classified(mixed)
    assert not was_classified(alone)


@pytest.mark.usefixtures("classifier")
async def test_indexed_pictures_are_not_classified(filled: Shop, policy: Path) -> None:
    """An indexed picture has no pixels to ask a classifier with."""
    named = pb.Image(indexed=pb.IndexedPicture(shop="shop", product_id="red-hat"))
    async with serve(filled, policy) as stub:
        answer = await stub.SearchByImage(pb.SearchByImageRequest(image=named))
    assert answer.space.category_path == []
    assert not was_classified(answer)


async def test_without_the_classifier_the_defaults_hold(
    filled: Shop, classifier: Failing, policy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A classifier that fails or is not served costs no question its answer, and is told once."""
    classifier.error = BackendUnavailableError("gone")
    async with serve(filled, policy) as stub:
        answers = [await stub.SearchByImage(ask()) for _ in range(3)]
        filled.models.classifiers = {}
        answers.append(await stub.SearchByImage(ask()))
    assert [told(answer) for answer in answers] == [([], {"look": 1.0, "colour": 0.5})] * 4
    assert [record.getMessage() for record in caplog.records if "recognised" in record.getMessage()] == [
        "no category is recognised, such questions get the space's own weights: gone"
    ]


async def test_classifier_works_beside_the_encoder(filled: Shop, policy: Path) -> None:
    """The encoder's answer may come after the classifier's began: neither waits for the other."""
    began = asyncio.Event()

    class Waiting(FakeEncoder):
        async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
            await asyncio.wait_for(began.wait(), 5)
            return await super().encode_images(pictures, timeout=timeout)

    class Starting(Failing):
        async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
            began.set()
            return await super().classify(pictures, timeout=timeout)

    encoder = Waiting(tokenizer_sha256=filled.encoder.text_input.tokenizer_sha256)
    filled.models = FakeModels([encoder], [Starting()])
    began.set()  # for the look at the models' health
    async with serve(filled, policy) as stub:
        began.clear()
        assert told(await stub.SearchByImage(ask()))[0] == ["Red"]


async def test_a_failure_cancels_what_runs_beside() -> None:
    """Where the encoder fails, the classifier's work is given up."""
    cancelled = asyncio.Event()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise BackendUnavailableError("gone")

    async def work() -> tuple[str, ...]:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ()

    with pytest.raises(BackendUnavailableError):
        await run_beside(fail(), work())
    await asyncio.wait_for(cancelled.wait(), 5)


def test_a_sentence_keeps_its_say(policy: Path) -> None:
    """A category's weights share what its parts weigh by default: a sentence beside a picture counts as before."""
    chosen = Weighting(policy).choose(FAKE_SPACE, ["Shoe"], {}, image=IMAGE, text=TEXT)
    assert chosen.weights == pytest.approx({"look": 0.3, "colour": 1.2})
    assert chosen.category == ("shoe",)


def test_a_category_that_leaves_nothing(policy: Path) -> None:
    """Weights that would leave a question without any are not taken: the operator's mistake is not the caller's."""
    chosen = Weighting(policy).choose(FAKE_SPACE, ["blind"], {"colour": 0.0}, image=IMAGE)
    assert (chosen.weights, chosen.category) == ({"colour": 0.0}, ())


def test_parts_that_the_space_has_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are left out, and told once in the log."""
    path = tmp_path / "policy.toml"
    path.write_text("[categories.hats]\nlook = 1\ncolour = 2\nshape = 3\n")
    weighting = Weighting(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert weighting.choose(FAKE_SPACE, ["hats"], {}, image=IMAGE).weights == {"look": 0.5, "colour": 1.0}
    (record,) = caplog.records
    assert "weights of hats name parts that the space fake-000000000001 has not" in record.getMessage()
    assert record.getMessage().endswith("shape")


def test_without_a_file() -> None:
    """Without a policy file a question's own weights are all there is."""
    weighting = Weighting(None)
    assert weighting.label_set(category=(), own={}) == ""
    assert weighting.choose(FAKE_SPACE, ["shoe"], {"look": 1.0}, image=IMAGE).weights == {"look": 1.0}


def test_no_entries_no_classifier(tmp_path: Path) -> None:
    """A file without categories, or with an empty classifier, asks none."""
    path = tmp_path / "policy.toml"
    for text in ("threshold = 0.9", 'classifier = ""\n[categories.a]\nlook = 1'):
        path.write_text(text)
        assert Weighting(path).label_set(category=(), own={}) == ""
