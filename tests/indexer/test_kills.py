"""Runs that are killed at any of their steps, and the runs after them: real processes, a real index.

Two catalogs take turns, which differ in products, pictures, prices and titles; some runs begin without a collection.
Each killed run is followed by one in this process, and what the index holds then is held against what an undisturbed
run leaves.
"""

import asyncio
import copy
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

import killed_process
from canned_triton import run_canned
from indexer_fixtures import SmallShop, draw_picture, make_product, make_shop
from milvus_fixtures import MilvusServer, name_collection
from served_fake import ServedFake
from sosie.engine import milvus_collection
from sosie.engine.milvus import MilvusStore
from sosie.engine.milvus_collection import MilvusCollection
from sosie.indexer import job, writing
from sosie.indexer.job import JobOptions
from sosie.indexer.opening import Backends
from sosie.indexer.report import MaxRejects
from sosie.indexer.running import Settings
from sosie.indexer.session import index_catalog
from sosie.indexer.target.options import TargetOptions

PRODUCTS, VIEWS = 60, 2
KILLS = 20
LIMIT = 60.0  # seconds, for a whole run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Rows: TypeAlias = dict[str, tuple[str, str, bytes, bytes]]
"""By key: content, meta, vector and payload."""


def make_catalogs(folder: Path) -> tuple[SmallShop, SmallShop]:
    """Two days of one shop: the second lacks products, has new ones, and others' price, title or picture changed."""
    today = make_shop(folder / "today", PRODUCTS, VIEWS)
    tomorrow = SmallShop(folder / "tomorrow", copy.deepcopy(today.products[5:]))
    for number in range(PRODUCTS, PRODUCTS + 10):
        tomorrow.products.append(make_product(number, VIEWS))
    for place, product in enumerate(tomorrow.products):
        number = int(product["product_id"][1:])
        if place % 4 == 1:
            product["price"]["units"] = "7"
        if place % 4 == 2:
            product["title"] = f"Red hat {number}"
        for view in range(VIEWS):
            seed = number * VIEWS + view + (10_000 if place % 4 == 3 else 0)
            draw_picture(tomorrow.images / f"{number}/{view}.jpg", seed)
    tomorrow.save()
    return today, tomorrow


async def read_rows(uri: str, collection: str) -> Rows:
    store = MilvusStore(uri, collection)
    try:
        count = await store.count(timeout=LIMIT)  # first: a server may lag behind what another client wrote
        held = await store.page(limit=1000, timeout=LIMIT)
        keys = [row.key for row in held]
        vectors = await store.fetch(keys, timeout=LIMIT)
        payloads = await store.payloads(keys, timeout=LIMIT)
        assert count == len(keys) == len(vectors) == len(payloads)
        return {row.key: (row.content, row.meta, vectors[row.key].tobytes(), payloads[row.key]) for row in held}
    finally:
        await store.close()


class Victim:
    """A process that is ready to index. Its methods wait: they are for threads."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, killed_process.__file__],
            stdin=pipe,
            stdout=subprocess.DEVNULL,
            stderr=pipe,
            text=True,
            env=environment,
        )
        self.steps = 0
        self.said: list[str] = []

    def run(self, arguments: list[str], until: int | None = None) -> int:
        """Lets it index, and kills it at that step; gives how it ended."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        watch = threading.Timer(LIMIT, self.process.kill)
        watch.start()
        with self.process:
            first = self.process.stderr.readline()
            assert first == "ready\n", first + self.process.stderr.read()
            print(json.dumps(arguments), file=self.process.stdin, flush=True)
            for line in self.process.stderr:
                self.steps += line == "step\n"
                if self.steps == until or line == "done\n":
                    break
                self.said.append(line)
            if until is not None:
                self.process.kill()
            self.process.stdin.close()
        watch.cancel()
        return self.process.returncode

    def end(self) -> None:
        with self.process:
            self.process.kill()


@dataclass
class Stage:
    """An index in which runs are killed. `name` gives a new place for a collection."""

    triton: str
    models: Path
    state: Path
    name: Callable[[], tuple[str, str]]
    ready: Victim = field(default_factory=Victim)
    """The next one: it gets ready while another is at work."""

    def settings(self, shop: SmallShop, uri: str, collection: str) -> Settings:
        return Settings(
            catalog=shop.catalog,
            images=shop.images,
            models=self.models,
            backends=Backends(self.triton, uri, collection),
            rejects=shop.rejects,
            options=JobOptions(batch=4, in_flight=2, threads=2, timeout=LIMIT),
            max_rejects=MaxRejects(0),
            state=self.state,
            target=TargetOptions(prune=True, max_prune=50),
        )

    def arguments(self, shop: SmallShop, uri: str, collection: str) -> list[str]:
        options = {
            "images": shop.images, "models": self.models, "triton": self.triton, "store": uri, "collection": collection,
            "state": self.state, "batch": 4, "in-flight": 2, "threads": 2, "max-rejects": 0,
            "max-prune": "50%",
        }  # fmt: skip
        return [str(shop.catalog), "--prune", *(f"--{name}={value}" for name, value in options.items())]

    async def run(self, shop: SmallShop, uri: str, collection: str, until: int | None = None) -> tuple[int, int]:
        """Lets a process index, and kills it at that step; gives how it ended, and how many steps it came."""
        victim, self.ready = self.ready, Victim()
        status = await asyncio.to_thread(victim.run, self.arguments(shop, uri, collection), until)
        assert until is not None or status == 0, "".join(victim.said)
        return status, victim.steps


@asynccontextmanager
async def set_stage(folder: Path, name: Callable[[], tuple[str, str]]) -> AsyncIterator[Stage]:
    async with run_canned(ServedFake(folder / "models")) as triton:
        stage = Stage(triton.address, folder / "models", folder / "state", name)
        try:
            yield stage
        finally:
            stage.ready.end()


async def kill_and_compare(stage: Stage, days: tuple[SmallShop, SmallShop], *, seed: int, fresh: int) -> None:
    """Kills KILLS runs, each at a step that `seed` draws, and compares what the run after each leaves.

    The first `fresh` of them begin without a collection.
    """
    draw = random.Random(seed)
    today, tomorrow = days
    place = stage.name()
    steps, expected = {}, {}
    for name, shop in (("fresh", today), ("tomorrow", tomorrow), ("today", today)):
        _, steps[name] = await stage.run(shop, *place)
        expected[name] = await read_rows(*place)
    kinds = ["fresh"] * fresh + ["tomorrow", "today"] * ((KILLS - fresh + 1) // 2)
    resumed = taken_over = 0
    for kind in kinds[:KILLS]:
        shop = tomorrow if kind == "tomorrow" else today
        where = stage.name() if kind == "fresh" else place
        step = draw.randint(1, steps[kind])
        status, _ = await stage.run(shop, *where, until=step)
        case = f"{kind}, killed at step {step} of {steps[kind]}"
        assert status == -signal.SIGKILL, case
        told: list[str] = []
        outcome = await index_catalog(stage.settings(shop, *where), told.append)
        assert outcome.report["outcome"] == "done", (case, outcome)
        assert await read_rows(*where) == expected[kind], case
        taken_over += any("died without giving its lock back" in line for line in told)
        resumed += outcome.report["resumed"]
    assert resumed > 0
    assert taken_over > KILLS // 2  # a few die after their work is done


@pytest.fixture(autouse=True)
def here_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks as small here as in the processes, since they are what a journal tells of, and the same haste."""
    monkeypatch.setattr(job, "CHUNK", killed_process.CHUNK)
    monkeypatch.setattr(job, "MAX_ROWS", killed_process.ROWS)
    monkeypatch.setattr(writing, "MAX_ROWS", killed_process.ROWS)
    monkeypatch.setattr(milvus_collection, "is_settled", killed_process.is_settled)


async def test_kills_with_milvus_lite(tmp_path: Path) -> None:
    """After each of 20 kills the next run leaves what an undisturbed one does, in Milvus Lite."""
    numbers = iter(range(100))
    async with set_stage(tmp_path, lambda: (str(tmp_path / f"{next(numbers)}.db"), "sosie")) as stage:
        await kill_and_compare(stage, make_catalogs(tmp_path), seed=5, fresh=6)


async def flush_nothing(collection: MilvusCollection, *, timeout: float) -> None:
    """In place of a server's flush in this process, which takes seconds and changes no answer."""


async def test_kills_with_a_milvus_server(
    milvus_server: MilvusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of 20 kills the next run leaves what an undisturbed one does, in a Milvus server."""
    monkeypatch.setattr(MilvusCollection, "flush", flush_nothing)
    async with AsyncExitStack() as stack:

        def name() -> tuple[str, str]:
            return milvus_server.uri, stack.enter_context(name_collection(milvus_server.uri))

        stage = await stack.enter_async_context(set_stage(tmp_path, name))
        await kill_and_compare(stage, make_catalogs(tmp_path), seed=6, fresh=3)
