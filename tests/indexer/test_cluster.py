"""The job on two nodes of a Ray cluster, against the same job in one process; a real index, a served fake encoder."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from canned_triton import run_canned
from indexer_fixtures import SmallShop, make_product, make_shop
from milvus_fixtures import MilvusServer, name_collection
from ray_fixtures import RayCluster
from served_fake import ServedFake
from sosie.engine.milvus import MilvusStore

PRODUCTS, VIEWS, FILES = 40, 2, 8
LIMIT = 120.0  # seconds, for a whole run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Rows: TypeAlias = dict[str, tuple[str, str, bytes, bytes]]
"""By key: content, meta, vector and payload."""


class Gate(ServedFake):
    """Lets `free` requests of each caller pass, and holds the rest until it is opened."""

    def __init__(self, models: Path, free: int, callers: int) -> None:
        super().__init__(models)
        self._free = free
        self._callers = callers
        self._asked: Counter[str] = Counter()
        self._open = asyncio.Event()
        self.shut = asyncio.Event()
        """Set when so many `callers` wait."""

    def open(self) -> None:
        self._open.set()

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._asked[context.peer()] += 1
        if self._asked[context.peer()] > self._free:
            if sum(count > self._free for count in self._asked.values()) == self._callers:
                self.shut.set()
            await self._open.wait()
        return await super().ModelInfer(request, context)


def make_catalog(folder: Path) -> SmallShop:
    """A folder of files. Products come again in other files, a line is not valid, a picture is missing."""
    shop = make_shop(folder, PRODUCTS, VIEWS)
    shop.catalog.unlink()
    shop.catalog.mkdir()
    missing = make_product(PRODUCTS, 1)
    lines = [json.dumps(product) for product in [*shop.products, missing]]
    lines += [json.dumps({**product, "title": "Another boot"}) for product in shop.products[::10]]
    lines.insert(7, json.dumps({"shop": "norden", "product_id": "untitled"}))
    for number in range(FILES):
        (shop.catalog / f"{number}.jsonl").write_text("\n".join(lines[number::FILES]))
    return shop


async def read_rows(uri: str, collection: str) -> Rows:
    store = MilvusStore(uri, collection)
    try:
        held = await store.page(limit=1000, timeout=LIMIT)
        keys = [row.key for row in held]
        vectors = await store.fetch(keys, timeout=LIMIT)
        payloads = await store.payloads(keys, timeout=LIMIT)
        assert await store.count(timeout=LIMIT) == len(keys) == len(vectors) == len(payloads)
        return {row.key: (row.content, row.meta, vectors[row.key].tobytes(), payloads[row.key]) for row in held}
    finally:
        await store.close()


def count_rejects(report: dict[str, Any]) -> dict[str, int]:
    return {field: fault["count"] for field, fault in report["rejected"]["by_field"].items()}


class Stage:
    """What all runs of a test have in common."""

    def __init__(self, folder: Path, triton: ServedFake, uri: str) -> None:
        self._shop = make_catalog(folder / "shop")
        self._folder = folder
        self._uri = uri
        self._triton = triton
        self.events = folder / "events.jsonl"
        self.process: asyncio.subprocess.Process | None = None
        """The last one that was started."""

    async def run(self, collection: str, *options: str, status: int = 0) -> tuple[dict[str, Any], Rows, list[str]]:
        """The summary of a run that ends with `status`, the rows that it left, and what it rejected."""
        shop = self._shop
        command = [sys.executable, "-m", "sosie.client", "index", str(shop.catalog), "--json", "--max-rejects=100%"]
        named = {
            "images": shop.images, "models": self._folder / "models", "triton": self._triton.address,
            "store": self._uri, "collection": collection, "state": self._folder / "state", "rejects": shop.rejects,
            "events": self.events, "batch": 4, "threads": 1, "timeout": 30,
        }  # fmt: skip
        arguments = [f"--{name}={value}" for name, value in named.items()]
        self.process = process = await asyncio.create_subprocess_exec(
            *command, *arguments, *options, stdout=PIPE, stderr=PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        try:
            watch = asyncio.get_running_loop().call_later(LIMIT, process.kill)
            out, err = await process.communicate()
            watch.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == status, err.decode()
        rejects = shop.rejects.read_text().splitlines() if shop.rejects.exists() else []
        return json.loads(out), await read_rows(self._uri, collection), sorted(rejects)


@asynccontextmanager
async def set_stage(folder: Path, triton: ServedFake, uri: str) -> AsyncIterator[Stage]:
    async with run_canned(triton):
        yield Stage(folder, triton, uri)


async def test_two_nodes_leave_the_rows_of_one_process(
    ray_cluster: RayCluster, milvus_server: MilvusServer, tmp_path: Path
) -> None:
    """Two nodes leave the same rows, rejects and counts as one process does, and find them unchanged afterwards."""
    uri = milvus_server.uri
    ray = ("--engine=ray", f"--ray={ray_cluster.address}")
    with name_collection(uri) as local, name_collection(uri) as spread:
        async with set_stage(tmp_path, ServedFake(tmp_path / "models"), uri) as stage:
            expected, rows, rejects = await stage.run(local)
            report, found, fallen = await stage.run(spread, *ray)
            again, after, _ = await stage.run(spread, *ray, "--prune")
    assert len(rows) == PRODUCTS * VIEWS
    assert found == after == rows
    assert fallen == rejects
    assert len(rejects) == 1 + 1 + PRODUCTS // 10
    assert count_rejects(report) == count_rejects(expected)
    for name in ("products", "pictures", "indexed", "unchanged", "cleaning"):
        assert report[name] == expected[name], name
    assert report["cluster"] == {"nodes": 2, "partitions": FILES, "lost": 0}
    assert again["unchanged"] == PRODUCTS * VIEWS
    assert again["indexed"] == 0


async def test_a_signal_stops_all_nodes(ray_cluster: RayCluster, milvus_server: MilvusServer, tmp_path: Path) -> None:
    """SIGTERM ends a run after what its workers are encoding, and that is in the index."""
    gate = Gate(tmp_path / "models", free=5, callers=2)
    with name_collection(milvus_server.uri) as spread:
        async with set_stage(tmp_path, gate, milvus_server.uri) as stage:
            run = asyncio.create_task(stage.run(spread, "--engine=ray", f"--ray={ray_cluster.address}", status=143))
            await asyncio.wait({run, asyncio.create_task(gate.shut.wait())}, return_when=asyncio.FIRST_COMPLETED)
            assert stage.process is not None
            stage.process.terminate()
            gate.open()
            report, rows, _ = await run
    assert report["outcome"] == "stopped"
    assert 0 < report["indexed"] == len(rows) < PRODUCTS * VIEWS


async def test_a_killed_node_is_replaced(ray_cluster: RayCluster, milvus_server: MilvusServer, tmp_path: Path) -> None:
    """A node that is killed while it has a partition under way leaves no row missing, and none twice."""
    uri = milvus_server.uri
    gate = Gate(tmp_path / "models", free=5, callers=2)
    with name_collection(uri) as local, name_collection(uri) as spread:
        async with set_stage(tmp_path, gate, uri) as stage:
            run = asyncio.create_task(stage.run(spread, "--engine=ray", f"--ray={ray_cluster.address}"))
            await asyncio.wait({run, asyncio.create_task(gate.shut.wait())}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(ray_cluster.kill)
            gate.open()
            report, found, rejects = await run
            expected, rows, fallen = await stage.run(local)
    assert report["cluster"]["lost"] >= 1
    assert found == rows
    assert rejects == fallen
    assert count_rejects(report) == count_rejects(expected)
    assert report["indexed"] + report["unchanged"] == expected["indexed"]
    assert any(json.loads(line)["event"] == "worker_lost" for line in stage.events.read_text().splitlines())
