"""A Milvus Lite whose process died at the end of a flush, before it removed its log."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fakes import FAKE_SPACE, unit
from sosie.engine.milvus import MilvusStore
from sosie.engine.milvus_lite_log import remove_flushed_logs
from sosie.engine.store import Facets, Row

LIMIT = 30.0


def make_rows(count: int, title: str) -> list[Row]:
    vectors = unit(np.random.default_rng(3).normal(size=(count, FAKE_SPACE.size)))
    return [
        Row(f"{number:032x}", f"{number:032x}", 0, vector, Facets("norden"), title.encode())
        for number, vector in enumerate(vectors)
    ]


async def test_a_log_that_was_left_doubles_nothing(tmp_path: Path) -> None:
    """Where a flush ended with its log still there, each row is there once when the .db is opened again."""
    uri = tmp_path / "index.db"
    store = MilvusStore(str(uri), "sosie")
    await store.create(FAKE_SPACE, timeout=LIMIT)
    for title in ("old", "new"):
        await store.upsert(make_rows(20, title), timeout=LIMIT)
        logs = list(uri.rglob("wal_*.arrow"))
        left = [log.rename(log.with_suffix(".left")) for log in logs]  # Lite has them open, and removes them by name
        for log, copy in zip(logs, left, strict=True):
            shutil.copy(copy, log)
        await store.flush(timeout=LIMIT)
        assert not any(log.exists() for log in logs)
    await store.close()
    assert left
    for copy in left:
        copy.rename(copy.with_suffix(".arrow"))

    again = MilvusStore(str(uri), "sosie")
    try:
        rows = await again.page(limit=100, timeout=LIMIT)
        assert [row.key for row in rows] == [row.key for row in make_rows(20, "new")]
        assert await again.count(timeout=LIMIT) == 20
        assert set((await again.payloads([row.key for row in rows], timeout=LIMIT)).values()) == {b"new"}
    finally:
        await again.close()


async def test_a_log_in_use_stays(tmp_path: Path) -> None:
    """What was written and not flushed is still there after the next opening, and a .db that is open is left alone."""
    uri = tmp_path / "index.db"
    store = MilvusStore(str(uri), "sosie")
    await store.create(FAKE_SPACE, timeout=LIMIT)
    await store.upsert(make_rows(20, "new"), timeout=LIMIT)
    copy = shutil.copytree(uri, tmp_path / "killed.db")
    for log in uri.rglob("wal_*.arrow"):
        (log.parent / "wal_data_000000.arrow").touch()
    assert remove_flushed_logs(uri) == 0
    await store.close()
    again = MilvusStore(str(copy), "sosie")
    try:
        assert await again.count(timeout=LIMIT) == 20
    finally:
        await again.close()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"active_wal_number": null}'])
def test_a_broken_manifest_is_lites_business(text: str, tmp_path: Path) -> None:
    """Where the manifest says nothing, no log is touched."""
    (tmp_path / "collections/c/wal").mkdir(parents=True)
    (tmp_path / "LOCK").touch()
    log = tmp_path / "collections/c/wal/wal_data_000001.arrow"
    log.touch()
    (tmp_path / "collections/c/manifest.json").write_text(text)
    assert remove_flushed_logs(tmp_path) == 0
    assert log.exists()
    (tmp_path / "collections/c/manifest.json").write_text('{"active_wal_number": 2}')
    assert remove_flushed_logs(tmp_path) == 1
    assert not log.exists()
