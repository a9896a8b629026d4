"""The alias is switched, rolled back and moved to another space while 50 questions a second come."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from canned_triton import run_canned
from fakes import write_fake_tokenizer
from faults.gateway_process import run_gateway_process
from gateway.two_tongues import SPACES, TwoTongues, point
from gateway_shop import draw
from milvus_fixtures import MilvusServer, name_collection
from sosie.engine.generations import GenerationStore, State
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import Facets, Row, VectorStore, picture_key, product_key
from sosie.v1 import product_pb2, visual_search_pb2_grpc
from sosie.v1 import visual_search_pb2 as pb

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RATE = 50.0  # questions a second
DEADLINE = 30.0  # of the questions: the servers share two cores, and how fast they are is not asked here
LIMIT = 60.0
PRODUCTS = 20
TITLES = {SPACES[0].name: ("first", "second"), SPACES[1].name: ("third",)}
"""What the products of each collection are called, by its embedding space."""

QUESTIONS: list[Callable[[Any], Any]] = [
    lambda stub: stub.SearchByText(pb.SearchByTextRequest(sentence="red shoe"), timeout=DEADLINE),
    lambda stub: stub.SearchByImage(pb.SearchByImageRequest(image=pb.Image(data=draw("red", "hat"))), timeout=DEADLINE),
    lambda stub: stub.SearchByImage(
        pb.SearchByImageRequest(image=pb.Image(indexed=pb.IndexedPicture(shop="shop", product_id="1"))),
        timeout=DEADLINE,
    ),
]


async def fill(store: VectorStore, space: EmbeddingSpace, title: str) -> None:
    """The same products in every collection; their titles tell which one it is."""
    rows = []
    for number in range(PRODUCTS):
        product = product_pb2.Product(shop="shop", product_id=str(number), title=title)
        product.pictures.add(id="front")
        rows.append(
            Row(
                key=picture_key("shop", str(number), "front"),
                product_key=product_key("shop", str(number)),
                position=0,
                vector=space.assemble({part.name: point(space, part.size)[None] for part in space.parts})[0],
                facets=Facets("shop"),
                payload=product.SerializeToString(),
                pictures=1,
            )
        )
    await store.upsert(rows, timeout=LIMIT)
    await store.flush(timeout=LIMIT)


@dataclass
class Asked:
    """What became of the questions: answers by space and by the title of the collection that gave them."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def ask(self, stub: Any, question: Callable[[Any], Any]) -> None:
        try:
            answer = await question(stub)
        except grpc.aio.AioRpcError as error:
            self.failures.append(f"{error.code().name}: {error.details()}")
        else:
            titles = {hit.product.title for hit in answer.hits} or {"nothing"}
            async with self.changed:
                self.answers[answer.space.name, ", ".join(titles)] += 1
                self.changed.notify_all()

    async def until_answered_by(self, title: str) -> None:
        """Waits for as many more answers from a collection as come in half a second."""
        space = next(name for name, titles in TITLES.items() if title in titles)
        enough = self.answers[space, title] + RATE / 2
        async with asyncio.timeout(LIMIT), self.changed:
            await self.changed.wait_for(lambda: self.answers[space, title] >= enough)


@asynccontextmanager
async def keep_asking(address: str) -> AsyncIterator[Asked]:
    """Questions of each kind in turn, each at its time whatever became of those before."""
    asked = Asked()
    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as calls:
        stub = visual_search_pb2_grpc.VisualSearchServiceStub(channel)

        async def begin() -> None:
            due, number = time.monotonic(), 0
            while True:
                calls.create_task(asked.ask(stub, QUESTIONS[number % len(QUESTIONS)]))
                due, number = due + 1 / RATE, number + 1
                await asyncio.sleep(due - time.monotonic())

        beginning = asyncio.create_task(begin())
        try:
            yield asked
        finally:
            beginning.cancel()


async def begin_filled(store: GenerationStore, space: EmbeddingSpace, title: str) -> str:
    name = (await store.begin(space, timeout=LIMIT)).name
    await fill(store.at(name), space, title)
    return name


async def test_no_question_is_lost(milvus_server: MilvusServer, tmp_path: Path) -> None:
    """No question fails, comes out empty or is asked in the wrong space, over two switches and their rollbacks."""
    models = tmp_path / "models"
    with name_collection(milvus_server.uri) as alias:
        store = MilvusStore(milvus_server.uri, alias)
        await store.create(SPACES[0], timeout=LIMIT)
        await fill(store, SPACES[0], "first")
        first = (await store.live(timeout=LIMIT)).name
        second = await begin_filled(store, SPACES[0], "second")
        async with (
            run_canned(TwoTongues(write_fake_tokenizer(models))) as triton,
            run_gateway_process(
                triton=triton.address,
                store=milvus_server.uri,
                models=models,
                folder=tmp_path,
                collection=alias,
                text_cache=0,
                slots=64,
                queue=1000,
            ) as gateway,
            keep_asking(gateway.address) as asked,
        ):
            await asked.until_answered_by("first")
            await store.switch(second, timeout=LIMIT)
            await asked.until_answered_by("second")
            await store.switch(first, timeout=LIMIT)
            await asked.until_answered_by("first")
            await store.drop(second, timeout=LIMIT)
            third = await begin_filled(store, SPACES[1], "third")
            await store.switch(third, timeout=LIMIT)
            await asked.until_answered_by("third")
            await store.switch(first, timeout=LIMIT)
            await asked.until_answered_by("first")
            await store.switch(third, timeout=LIMIT)
            await store.drop(first, timeout=LIMIT)  # at once: nobody may have looked since
            await asked.until_answered_by("third")
        assert not asked.failures
        right = {(space, title) for space, titles in TITLES.items() for title in titles}
        assert set(asked.answers) == right
        assert [each.state for each in await store.generations(timeout=LIMIT)] == [State.LIVE]
        await store.close()
