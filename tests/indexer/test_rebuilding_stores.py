"""Pruning, rebuilding and going back on a real Milvus Lite and a real Milvus server, by the command's own way."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes import FAKE_SPACE, FakeEncoder
from indexer_fixtures import SmallShop, WordTokenizer, make_product, make_shop
from milvus_fixtures import name_collection
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import EmbeddingSpace
from sosie.indexer import command, session
from sosie.indexer.encoding import servers
from sosie.indexer.reporting import exit_status

pytestmark = pytest.mark.slow

LIMIT = 60.0
PRODUCTS, VIEWS = 40, 2
OTHER_SPACE = EmbeddingSpace("fake-000000000002", FAKE_SPACE.parts, "meaning", 10.0)


class Models:
    """TritonModels with doubles of encoders."""

    encoders = {space.name: FakeEncoder(space) for space in (FAKE_SPACE, OTHER_SPACE)}  # noqa: RUF012 - never changed

    @classmethod
    async def connect(cls, address: str, *, timeout: float) -> "Models":
        return cls()

    async def close(self) -> None:
        pass


@dataclass
class Indexed:
    """A shop and a collection for it in a real store."""

    shop: SmallShop
    uri: str
    collection: str
    capsys: pytest.CaptureFixture[str]

    @property
    def place(self) -> list[str]:
        return ["--store", self.uri, "--collection", self.collection, "--json"]

    def ask(self, *arguments: str, status: int = 0) -> Any:
        """What `sosie index` prints as JSON."""
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        self.capsys.readouterr()
        assert command.run(parser.parse_args([*arguments, *self.place])) == status, self.capsys.readouterr().err
        out = self.capsys.readouterr().out
        return json.loads(out) if out else None

    def index(self, *options: str, status: int = 0) -> Any:
        self.shop.save()
        return self.ask(str(self.shop.catalog), "--images", str(self.shop.images), *options, status=status)

    def states(self) -> dict[str, tuple[int, str]]:
        """Rows and space by state; no two collections have the same."""
        return {each["state"]: (each["rows"], each["space"]) for each in self.ask("collections")}

    def keys(self) -> set[str]:
        """Of all rows of the live collection."""

        async def read() -> set[str]:
            store = MilvusStore(self.uri, self.collection)
            try:
                return {row.key for row in await store.page(limit=1000, timeout=LIMIT)}
            finally:
                await store.close()

        return asyncio.run(read())


@pytest.fixture(params=["lite", "server"])
def indexed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Indexed]:
    """A shop of 39 products with 2 pictures each, and one product of another shop, indexed in the first space."""
    monkeypatch.setattr(servers, "TritonModels", Models)
    monkeypatch.setattr(session, "_open_tokenizer", lambda settings, encoder: WordTokenizer())
    monkeypatch.chdir(tmp_path)
    uri = str(tmp_path / "index.db") if request.param == "lite" else request.getfixturevalue("milvus_server").uri
    with name_collection(uri) as name:
        made = Indexed(make_shop(tmp_path / "shop", PRODUCTS, VIEWS), uri, name, capsys)
        made.shop.products[-1] = {**make_product(PRODUCTS - 1, VIEWS), "shop": "sud"}
        assert made.index("--rebuild", "--without-words", "--space", FAKE_SPACE.name)["indexed"] == PRODUCTS * VIEWS
        yield made


def wait_until_encoded(process: "subprocess.Popen[str]", count: int) -> None:
    """Returns as soon as the process says that it encoded so many pictures."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("encoded ") and int(line.split()[1]) >= count:
            return
    pytest.fail(f"it ended before it encoded {count} pictures: {''.join(said)}")


def kill_in_the_middle(indexed: Indexed, *options: str) -> None:
    """Runs the command in a process of its own, and ends it when it has encoded some pictures."""
    script = Path(__file__).with_name("index_process.py")
    arguments = [str(indexed.shop.catalog), "--images", str(indexed.shop.images), *options, *indexed.place]
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(script.parents[1]), "OMP_NUM_THREADS": "1"},
    )
    with process:
        try:
            wait_until_encoded(process, 30)
        finally:
            process.kill()


def test_a_whole_life(indexed: Indexed) -> None:
    """A collection is pruned, rebuilt over a kill -9, gone back from and moved to another space; all are listed."""
    shop, rows = indexed.shop, PRODUCTS * VIEWS
    # What left the catalog goes, and costs no inference; what another shop has stays.
    shop.products.pop(7)
    shop.products.pop()
    summary = indexed.index("--prune", "--without-words")
    assert (summary["unchanged"], summary["indexed"], summary["rewritten"]) == (rows - 2 * VIEWS, 0, 0)
    assert (summary["pruned"]["rows"], summary["pruned"]["other_shops_rows"]) == (VIEWS, VIEWS)
    before = indexed.keys()
    assert len(before) == rows - VIEWS

    # Too much is not deleted, and a shop that is not in the catalog is not replaced.
    del shop.products[20:]
    assert indexed.index("--prune", "--without-words", status=exit_status.REFUSED)["outcome"] == "refused"
    assert indexed.keys() == before
    shop.products[:] = [make_product(number, VIEWS) for number in range(PRODUCTS - 1) if number != 7]
    shop.save()

    options = ["--rebuild", "--batch", "4", "--in-flight", "2", "--require", "overlap@10>=0.9"]
    kill_in_the_middle(indexed, *options, "--space", FAKE_SPACE.name)
    states = indexed.states()
    half = states["building"][0]
    assert (states["live"][0], indexed.keys()) == (len(before), before)
    assert half < len(before)
    summary = indexed.index(*options, "--without-words", status=exit_status.REFUSED)
    assert "of 'sud' (100%)" in summary["error"]
    assert (summary["unchanged"], summary["indexed"]) == (half, rows - 2 * VIEWS - half)
    summary = indexed.index(*options, "--without-words", "--prune-shop", "sud")
    assert (summary["indexed"], summary["rebuild"]["resumed"], summary["rebuild"]["switched"]) == (0, True, True)
    after = {"live": (rows - 2 * VIEWS, FAKE_SPACE.name), "previous": (rows - VIEWS, FAKE_SPACE.name)}
    assert indexed.states() == after
    assert indexed.keys() == shop.keys()

    indexed.ask("rollback")
    assert indexed.states() == {"live": after["previous"], "previous": after["live"]}
    assert indexed.keys() == before

    moving = ["--rebuild", "--space", OTHER_SPACE.name, "--prune-shop", "sud", "--require", "self@10>=1"]
    summary = indexed.index(*moving)
    assert (summary["indexed"], summary["space"]) == (rows - 2 * VIEWS, OTHER_SPACE.name)
    (orphan,) = summary["rebuild"]["orphans"]
    states = indexed.states()
    assert states.keys() == {"live", "previous", "orphan"}
    assert states["live"] == (rows - 2 * VIEWS, OTHER_SPACE.name)
    indexed.ask("drop", orphan)
    assert indexed.states().keys() == {"live", "previous"}
