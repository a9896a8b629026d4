"""What an index holds after its indexer was killed or stopped: real processes, a real Milvus Lite."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexer_fixtures import SmallShop, make_shop
from sosie.engine.milvus import MilvusStore

PRODUCTS, VIEWS = 200, 3
LIMIT = 60.0  # seconds, for a whole run

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    return make_shop(tmp_path, PRODUCTS, VIEWS)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "index.db")


@contextmanager
def run_index(shop: SmallShop, uri: str) -> Iterator["subprocess.Popen[str]"]:
    """The indexer as a process, which does not outlive the context."""
    script = Path(__file__).with_name("index_process.py")
    arguments: list[str | Path] = [
        shop.catalog,
        "--images",
        shop.images,
        "--store",
        uri,
        "--json",
        "--batch",
        "4",
        "--in-flight",
        "2",
    ]
    environment = {name: os.environ[name] for name in ("PATH", "SOSIE_STATE")}
    environment |= {"PYTHONPATH": str(script.parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_encoded(process: "subprocess.Popen[str]", count: int) -> None:
    """Returns as soon as the process says that it encoded so many pictures."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        told = re.match(r"encoded (\d+)", line)
        if told and int(told[1]) >= count:
            return
    pytest.fail(f"it ended before it encoded {count} pictures: {''.join(said)}")


async def count_rows(uri: str) -> int:
    store = MilvusStore(uri, "sosie")
    try:
        return await store.count(timeout=LIMIT)
    finally:
        await store.close()


async def test_killed_runs_lose_nothing_and_double_nothing(shop: SmallShop, uri: str) -> None:
    """After two kill -9 in the middle of writing, a third run leaves each picture of the catalog exactly once."""
    total, before = PRODUCTS * VIEWS, 0
    for _ in range(2):
        with run_index(shop, uri) as process:
            wait_until_encoded(process, 100)
            process.kill()
            process.wait(LIMIT)
        rows = await count_rows(uri)
        assert before < rows < total
        before = rows
    with run_index(shop, uri) as process:
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["unchanged"] == before
    assert summary["indexed"] == total - before
    assert await count_rows(uri) == total
    store = MilvusStore(uri, "sosie")
    try:
        assert set(await store.digests(sorted(shop.keys()), timeout=LIMIT)) == shop.keys()
    finally:
        await store.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_cleanly(number: signal.Signals, shop: SmallShop, uri: str) -> None:
    """SIGTERM and SIGINT end with 143 and 130 and a summary that tells just what was written."""
    with run_index(shop, uri) as process:
        wait_until_encoded(process, 100)
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert "stopped; the next run goes on from here" in err
    summary = json.loads(out)
    assert summary["outcome"] == "stopped"
    assert 0 < summary["indexed"] < PRODUCTS * VIEWS
    assert await count_rows(uri) == summary["indexed"]


async def test_an_index_in_use_is_one_line(shop: SmallShop, uri: str) -> None:
    """A .db that another process has open is refused by its path, without a traceback."""
    store = MilvusStore(uri, "other")
    try:
        with pytest.raises(LookupError):
            await store.count(timeout=LIMIT)  # opens it
        with run_index(shop, uri) as process:
            out, err = process.communicate(timeout=LIMIT)
    finally:
        await store.close()
    assert (process.returncode, out) == (1, "")
    assert err.splitlines() == [err.strip()]
    assert f"cannot open {uri}: another process has it open" in err
