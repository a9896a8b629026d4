"""Pictures that look the same: encoded once, in a batch, side by side, in a run, and from one run to the next."""

import asyncio
import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeStore
from indexer_fixtures import SmallShop, draw_picture, make_shop, run_job
from sosie.engine.errors import BackendError
from sosie.engine.inference import Pictures
from sosie.engine.space import Parts
from sosie.engine.store import picture_key
from sosie.indexer.encoding import twins as module
from sosie.indexer.encoding.twins import Twins, TwinTable, pixel_digest

TIMEOUT = 5.0


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    """Ten products with two pictures each; the second pictures of all are the same pixels, in files of their own."""
    shop = make_shop(tmp_path / "shop", 10, views=2)
    for number in range(10):
        save_again(shop.images / "0/1.jpg", shop.images / f"{number}/1.jpg", comment=str(number))
    return shop


@pytest.fixture
async def store() -> FakeStore:
    store = FakeStore()
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    return store


def save_again(source: Path, target: Path, comment: str) -> None:
    """The same coefficients with another comment: other bytes, the same pixels."""
    raw = source.read_bytes()
    note = comment.encode()
    if source != target:
        target.write_bytes(raw[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + raw[2:])


def look(store: FakeStore, number: int, view: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    row = store.rows[picture_key("norden", f"p{number}", f"v{view}")]
    return FAKE_SPACE.split(row.vector)["look"]


@pytest.mark.parametrize(("batch", "in_flight"), [(20, 1), (4, 1), (2, 8)])
async def test_the_same_pixels_are_encoded_once(shop: SmallShop, store: FakeStore, batch: int, in_flight: int) -> None:
    """However batches fall, each picture is encoded once, and each row has its own product's words."""
    encoder = FakeEncoder()
    report = await run_job(shop, encoder, store, batch=batch, in_flight=in_flight)
    assert (encoder.pictures_encoded, report.indexed, report.shared) == (11, 20, 9)
    assert all(np.array_equal(look(store, 0, 1), look(store, number, 1)) for number in range(10))
    words = {FAKE_SPACE.split(row.vector)["words"].tobytes() for row in store.rows.values()}
    assert len(words) == 10


async def test_the_next_run_knows_them(shop: SmallShop, store: FakeStore, tmp_path: Path) -> None:
    """A new product with a picture that is indexed already takes its vector from the index."""
    table = tmp_path / "twins.sqlite"
    await run_job(shop, None, store, twins=table)
    product = {**shop.products[3], "product_id": "new", "title": "Rubber clog"}
    product["pictures"] = [{"id": "v0", "path": "new/0.jpg"}]
    (shop.images / "new").mkdir()
    shutil.copy(shop.images / "3/0.jpg", shop.images / "new/0.jpg")
    shop.products.append(product)
    shop.save()
    encoder = FakeEncoder()
    report = await run_job(shop, encoder, store, twins=table)
    assert (encoder.pictures_encoded, encoder.texts_encoded, report.indexed, report.shared) == (0, 1, 1, 1)
    added = store.rows[picture_key("norden", "new", "v0")]
    assert np.array_equal(FAKE_SPACE.split(added.vector)["look"], look(store, 3, 0))
    assert not np.array_equal(
        FAKE_SPACE.split(added.vector)["words"],
        FAKE_SPACE.split(store.rows[picture_key("norden", "p3", "v0")].vector)["words"],
    )


@pytest.mark.parametrize("change", ["deleted", "another picture"])
async def test_a_row_that_changed_is_not_taken(shop: SmallShop, store: FakeStore, tmp_path: Path, change: str) -> None:
    """What the table says counts only while the row that it names is there, with that picture."""
    table = tmp_path / "twins.sqlite"
    await run_job(shop, None, store, twins=table)
    key = picture_key("norden", "p3", "v0")
    (shop.images / "new").mkdir()
    shutil.copy(shop.images / "3/0.jpg", shop.images / "new/0.jpg")
    if change == "deleted":
        await store.delete([key], timeout=TIMEOUT)
        shop.products.pop(3)
    else:
        draw_picture(shop.images / "3/0.jpg", seed=999)
        await run_job(shop, None, store, twins=table)
    shop.products.append({**shop.products[0], "product_id": "new", "pictures": [{"id": "v0", "path": "new/0.jpg"}]})
    shop.save()
    encoder = FakeEncoder()
    await run_job(shop, encoder, store, twins=table)
    assert encoder.pictures_encoded == 1


async def test_a_picture_that_fails_is_nobodys_twin(shop: SmallShop, store: FakeStore) -> None:
    """A vector that is unusable is given to no other row: each of them is asked for, and falls out for itself."""

    class NanEncoder(FakeEncoder):
        async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
            parts = await super().encode_images(pictures, timeout=timeout)
            parts["look"][:] = np.nan
            return parts

    encoder = NanEncoder()
    report = await run_job(shop, encoder, store, batch=2, in_flight=1)
    assert (report.rejected_pictures, report.indexed, encoder.pictures_encoded) == (20, 0, 20)


async def test_who_waits_for_a_twin_that_fails_encodes_itself() -> None:
    """Where the first to encode a picture fails, those that waited for it learn that there is no vector."""
    twins = Twins()
    (mine, known, coming) = twins.claim([b"a", b"b", b"a"])
    assert (mine, known, coming) == ([b"a", b"b"], {}, {})
    (others, _, waiting) = twins.claim([b"a"])
    assert others == []
    twins.settle(b"a", None)
    assert await asyncio.wait_for(waiting[b"a"], TIMEOUT) is None
    assert twins.claim([b"a"])[0] == [b"a"]
    twins.settle(b"b", np.ones(3, np.float32))
    assert twins.claim([b"b"])[1].keys() == {b"b"}


async def test_an_encoder_that_fails_leaves_nobody_waiting(shop: SmallShop, store: FakeStore) -> None:
    """A job whose encoder fails for good ends, also where many batches hold the same picture."""

    class BadEncoder(FakeEncoder):
        async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
            raise BackendError("broken")

    with pytest.raises(BackendError, match="broken"):
        await asyncio.wait_for(run_job(shop, BadEncoder(), store, batch=2, in_flight=8), TIMEOUT)


async def test_what_is_remembered_in_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors that were needed longest ago are forgotten first."""
    monkeypatch.setattr(module, "MAX_RECENT", 3)
    twins = Twins()
    for name in (b"a", b"b", b"c"):
        twins.claim([name])
        twins.settle(name, np.ones(2, np.float32))
    assert twins.claim([b"a"])[1]
    twins.claim([b"d"])
    twins.settle(b"d", np.ones(2, np.float32))
    assert [bool(twins.claim([name])[1]) for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_the_table_outlives_its_process(tmp_path: Path) -> None:
    """What was added is found again; of one digest the last row counts."""
    path = tmp_path / "twins.sqlite"
    with TwinTable(path) as table:
        table.add([(b"a", "k1", "c1"), (b"b", "k2", "c2")])
        table.add([(b"a", "k3", "c3")])
    with TwinTable(path) as table:
        digests = [b"a", b"b", *(number.to_bytes(2, "big") for number in range(2000))]
        assert table.find(digests) == {b"a": ("k3", "c3"), b"b": ("k2", "c2")}
        assert table.find([]) == {}


def test_a_damaged_table_is_begun_anew(tmp_path: Path) -> None:
    """A file that is no table any more costs what it knew, not the run."""
    path = tmp_path / "twins.sqlite"
    path.write_bytes(b"no database at all, and long enough to be looked at" * 100)
    with TwinTable(path) as table:
        table.add([(b"a", "k", "c")])
        assert table.find([b"a"]) == {b"a": ("k", "c")}


def test_a_table_that_fails_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk fails midway, nothing is known any more, and nothing is raised."""
    with TwinTable(tmp_path / "twins.sqlite") as table:
        table.add([(b"a", "k", "c")])
        assert table._database is not None
        table._database.execute("DROP TABLE twins")
        assert table.find([b"a"]) == {}
        table.add([(b"a", "k", "c")])
        assert table.find([b"a"]) == {}


def test_a_full_table_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file does not grow beyond its bound."""
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    with TwinTable(tmp_path / "twins.sqlite") as table:
        table.add([(b"a", "k", "c"), (b"b", "k", "c")])
        table.add([(b"d", "k", "c")])
        assert table.find([b"a", b"b", b"d"]).keys() == {b"a", b"b"}


def test_the_table_is_taken_from_several_threads(tmp_path: Path) -> None:
    """Threads take turns."""

    async def use(table: TwinTable) -> None:
        names = [number.to_bytes(2, "big") for number in range(64)]
        await asyncio.gather(*(asyncio.to_thread(table.add, [(name, "k", "c")]) for name in names))
        assert len(table.find(names)) == 64

    with TwinTable(tmp_path / "twins.sqlite") as table:
        asyncio.run(use(table))
    with contextlib.closing(sqlite3.connect(tmp_path / "twins.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM twins").fetchone() == (64,)


def test_the_digest_is_of_pixels() -> None:
    """Pictures with one level changed in one place differ; a view of the same pixels does not."""
    pixels = np.random.default_rng(2).integers(0, 254, (8, 8, 3), np.uint8)
    other = pixels.copy()
    other[7, 7, 2] += 1
    assert pixel_digest(pixels) == pixel_digest(np.asfortranarray(pixels)) != pixel_digest(other)
