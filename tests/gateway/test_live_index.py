"""The alias comes to point at another collection while questions are asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc.aio
import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeModels, FakeStore
from gateway_shop import Shop
from sosie.engine.errors import BackendUnavailableError
from sosie.engine.generations import Collection
from sosie.engine.inference import Pictures, Tokens
from sosie.engine.space import EmbeddingSpace, Parts
from sosie.gateway.backends import Backends
from sosie.gateway.main import run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

NEW_SPACE = replace(FAKE_SPACE, name="fake-000000000002")
LIMIT = 10.0


class WaitingEncoder(FakeEncoder):
    """Says that it was asked for a sentence, and answers when a test says so."""

    def __init__(self, space: EmbeddingSpace, tokenizer_sha256: str) -> None:
        super().__init__(space, tokenizer_sha256)
        self.asked, self.going = asyncio.Event(), asyncio.Event()

    async def encode_texts(self, tokens: Tokens, *, timeout: float) -> Parts:
        self.asked.set()
        await self.going.wait()
        return await super().encode_texts(tokens, timeout=timeout)


class LeavingEncoder(FakeEncoder):
    """Is unloaded when a test says so."""

    is_gone = False

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        if self.is_gone:
            raise BackendUnavailableError("the model is not ready")
        return await super().encode_images(pictures, timeout=timeout)


async def begin(store: FakeStore, space: EmbeddingSpace, *, shop: str) -> Collection:
    """A collection with the pictures of the live one, all of them of another shop."""
    rows = [replace(row, facets=replace(row.facets, shop=shop)) for row in store.rows.values()]
    collection = await store.begin(space, timeout=1)
    await store.at(collection.name).upsert(rows, timeout=1)
    return collection


@dataclass
class Asker:
    """A gateway whose backends a test has look themselves."""

    backends: Backends
    stub: Any

    def ask(self, shop: str) -> Any:
        options = pb.SearchOptions(filter=pb.Filter(shops=[shop]))
        return self.stub.SearchByText(pb.SearchByTextRequest(sentence="red shoe", options=options), timeout=LIMIT)


@asynccontextmanager
async def run(backends: Backends, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asker]:
    async def never(_looked: Callable[[], Awaitable[None]]) -> None:
        await asyncio.Future()

    monkeypatch.setattr(backends, "watch", never)
    await backends.refresh()
    async with (
        run_gateway(settings, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        yield Asker(backends, visual_search_pb2_grpc.VisualSearchServiceStub(channel))


@pytest.fixture
def two_tongued(filled: Shop) -> Shop:
    """The shop with encoders of a second space beside those of the first."""
    digest = filled.encoder.text_input.tokenizer_sha256
    filled.models = FakeModels([filled.encoder, FakeEncoder(NEW_SPACE, digest)])
    return filled


@pytest.mark.parametrize("space", [FAKE_SPACE, NEW_SPACE], ids=lambda space: space.name)
async def test_a_look_changes_collection_and_space_at_once(
    two_tongued: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch, space: EmbeddingSpace
) -> None:
    """Until the next look answers come from the collection before, then from the new one, in the space of each."""
    async with run(two_tongued.backends(), settings, monkeypatch) as asker:
        await two_tongued.store.switch((await begin(two_tongued.store, space, shop="new")).name, timeout=1)
        answer = await asker.ask("shop")
        assert (answer.space.name, bool(answer.hits)) == (FAKE_SPACE.name, True)
        await asker.backends.refresh()
        answer = await asker.ask("new")
        assert (answer.space.name, bool(answer.hits)) == (space.name, True)
        assert not (await asker.ask("shop")).hits


async def test_a_question_under_way_stays_where_it_began(
    filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that was taken before a switch to another space searches the collection that it was embedded for."""
    digest = filled.encoder.text_input.tokenizer_sha256
    slow = WaitingEncoder(FAKE_SPACE, digest)
    filled.models = FakeModels([slow, FakeEncoder(NEW_SPACE, digest)])
    slow.going.set()
    async with run(filled.backends(), settings, monkeypatch) as asker:
        slow.asked.clear()
        slow.going.clear()
        call = asyncio.ensure_future(asker.ask("shop"))
        await asyncio.wait_for(slow.asked.wait(), LIMIT)
        await filled.store.switch((await begin(filled.store, NEW_SPACE, shop="new")).name, timeout=1)
        looking = asyncio.create_task(asker.backends.refresh())
        slow.going.set()
        await looking
        answer = await call
        assert (answer.space.name, bool(answer.hits)) == (FAKE_SPACE.name, True)
        assert (await asker.ask("new")).space.name == NEW_SPACE.name


async def test_a_collection_that_nobody_speaks(
    filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A collection in a space without encoders waits, and the one before goes on, until the encoders are loaded."""
    async with run(filled.backends(), settings, monkeypatch) as asker:
        await filled.store.switch((await begin(filled.store, NEW_SPACE, shop="new")).name, timeout=1)
        for _ in range(2):
            await asker.backends.refresh()
            assert asker.backends.problem is None
            assert (await asker.ask("shop")).hits
        assert caplog.text.count("which no encoder speaks") == 1
        digest = filled.encoder.text_input.tokenizer_sha256
        filled.models.next = FakeModels([filled.encoder, FakeEncoder(NEW_SPACE, digest)])
        await asker.backends.refresh()
        await asker.backends.refresh()
        assert (await asker.ask("new")).space.name == NEW_SPACE.name


async def test_the_models_of_the_collection_before(
    filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a move to another space the old encoders may be unloaded: nobody is told that anything is missing."""
    digest = filled.encoder.text_input.tokenizer_sha256
    leaving, staying = LeavingEncoder(FAKE_SPACE, digest), FakeEncoder(NEW_SPACE, digest)
    filled.models = FakeModels([leaving, staying])
    async with run(filled.backends(), settings, monkeypatch) as asker:
        await filled.store.switch((await begin(filled.store, NEW_SPACE, shop="new")).name, timeout=1)
        await asker.backends.refresh()
        leaving.is_gone = True
        filled.models.next = FakeModels([staying])
        for _ in range(3):
            await asker.backends.refresh()
            assert asker.backends.problem is None
            assert (await asker.ask("new")).hits


async def test_a_collection_that_was_dropped(
    two_tongued: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the collection is gone since the last look, a question is asked again of the one that is live now."""
    async with run(two_tongued.backends(), settings, monkeypatch) as asker:
        first = await two_tongued.store.live(timeout=1)
        await two_tongued.store.switch((await begin(two_tongued.store, NEW_SPACE, shop="new")).name, timeout=1)
        await two_tongued.store.drop(first.name, timeout=1)
        answer = await asker.ask("new")
        assert (answer.space.name, bool(answer.hits)) == (NEW_SPACE.name, True)


async def test_an_alias_that_is_gone(filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where collection and alias are gone, callers are told that there is no index."""
    async with run(filled.backends(), settings, monkeypatch) as asker:
        filled.store.server.collections.clear()
        filled.store.server.marks.clear()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asker.ask("shop")
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "no index" in (caught.value.details() or "")
