"""The job over a small shop: what is embedded, written and counted, with the engine's doubles."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeStore
from indexer_fixtures import SmallShop, WordTokenizer, draw_picture, make_job, make_shop, run_job
from sosie.engine.errors import BackendError, BackendUnavailableError
from sosie.engine.image import prepare
from sosie.engine.inference import Pictures
from sosie.engine.space import EmbeddingSpace, Part, Parts
from sosie.engine.store import Facets, Row, picture_key
from sosie.engine.text import words_sentence
from sosie.indexer.catalog import Catalog
from sosie.indexer.entry import Entry
from sosie.indexer.job import CHUNK
from sosie.indexer.rejects import Reject, RejectsFile
from sosie.indexer.report import Report
from sosie.indexer.retries import Backoff, Retrier
from sosie.indexer.writing import MAX_ROWS, Writer

TIMEOUT = 5.0


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    return make_shop(tmp_path, 11, views=2)


@pytest.fixture
async def store() -> FakeStore:
    store = FakeStore()
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    return store


async def test_every_picture_becomes_a_row(shop: SmallShop, store: FakeStore) -> None:
    """After a run the index holds each picture of the catalog once, under its key."""
    report = await run_job(shop, None, store)
    assert set(store.rows) == shop.keys()
    assert (report.products, report.pictures, report.indexed, report.settled) == (11, 22, 22, 22)
    assert report.rejected == report.unchanged == report.rewritten == 0
    assert not shop.rejects.exists()
    assert list(report.as_dict()["time_share"]) == ["check", "decode", "encode", "write"]


async def test_a_row_holds_the_pictures_parts_and_the_words(shop: SmallShop, store: FakeStore) -> None:
    """A row's vector is what the encoders give for that picture and that product's words, part by part."""
    await run_job(shop, None, store)
    encoder, tokenizer = FakeEncoder(), WordTokenizer()
    for product in shop.products:
        sentence = words_sentence(product["title"], product["brand"], product["category_path"], product["attributes"])
        words = (await encoder.encode_texts(tokenizer.encode([sentence]), timeout=TIMEOUT))["words"][0]
        for picture in product["pictures"]:
            pixels = prepare((shop.images / picture["path"]).read_bytes(), encoder.image_input)
            image = await encoder.encode_images(pixels[np.newaxis], timeout=TIMEOUT)
            row = store.rows[picture_key("norden", product["product_id"], picture["id"])]
            parts = FAKE_SPACE.split(row.vector)
            np.testing.assert_allclose(parts["words"], words, atol=1e-6)
            for name, values in image.items():
                np.testing.assert_allclose(parts[name], values[0], atol=1e-6)


async def test_a_second_run_embeds_nothing(shop: SmallShop, store: FakeStore) -> None:
    """A second run on the same catalog asks no encoder and writes no row."""
    await run_job(shop, None, store)
    encoder, before = FakeEncoder(), store.writes
    report = await run_job(shop, encoder, store)
    assert (encoder.pictures_encoded, encoder.texts_encoded, store.writes - before) == (0, 0, 0)
    assert (report.unchanged, report.indexed) == (22, 0)


async def test_a_changed_price_is_written_without_inference(shop: SmallShop, store: FakeStore) -> None:
    """A product whose price changed has its rows rewritten around the vectors that they had."""
    await run_job(shop, None, store)
    key = picture_key("norden", "p3", "v1")
    old, encoder, before = store.rows[key], FakeEncoder(), store.writes
    shop.products[3]["price"]["units"] = "1"
    shop.save()
    report = await run_job(shop, encoder, store)
    assert (encoder.pictures_encoded, encoder.texts_encoded, store.writes - before) == (0, 0, 2)
    assert (report.rewritten, report.unchanged, report.indexed) == (2, 20, 0)
    assert store.rows[key].facets.price_micros == 1_990_000
    np.testing.assert_array_equal(store.rows[key].vector, old.vector)
    assert (await run_job(shop, encoder, store)).unchanged == 22


async def test_pictures_in_another_order_are_rewritten(shop: SmallShop, store: FakeStore) -> None:
    """A product whose pictures changed places keeps their vectors and gets their new places."""
    await run_job(shop, None, store)
    encoder = FakeEncoder()
    shop.products[3]["pictures"].reverse()
    shop.save()
    report = await run_job(shop, encoder, store)
    assert (encoder.pictures_encoded, report.rewritten) == (0, 2)
    assert store.rows[picture_key("norden", "p3", "v1")].position == 0


async def test_a_changed_picture_is_embedded_alone(shop: SmallShop, store: FakeStore) -> None:
    """Where one file changed, one picture is encoded and one row written."""
    await run_job(shop, None, store)
    key = picture_key("norden", "p3", "v1")
    old, encoder, before = store.rows[key], FakeEncoder(), store.writes
    draw_picture(shop.images / "3/1.jpg", seed=999)
    report = await run_job(shop, encoder, store)
    assert (encoder.pictures_encoded, store.writes - before) == (1, 1)
    assert (report.indexed, report.unchanged) == (1, 21)
    assert not np.allclose(store.rows[key].vector, old.vector)


async def test_changed_words_leave_the_picture_alone(shop: SmallShop, store: FakeStore) -> None:
    """Where only the shop's words changed, one sentence is encoded, no picture, and the row equals a fresh one."""
    await run_job(shop, None, store)
    encoder = FakeEncoder()
    shop.products[3]["title"] = "Rubber clog"
    shop.save()
    report = await run_job(shop, encoder, store)
    assert (encoder.pictures_encoded, encoder.texts_encoded, report.indexed) == (0, 1, 2)
    fresh = FakeStore()
    await fresh.create(FAKE_SPACE, timeout=TIMEOUT)
    await run_job(shop, None, fresh)
    for key, row in fresh.rows.items():
        np.testing.assert_allclose(store.rows[key].vector, row.vector, atol=1e-6)
        assert (store.rows[key].content, store.rows[key].meta) == (row.content, row.meta)


async def test_words_can_be_left_out_and_put_back(shop: SmallShop, store: FakeStore) -> None:
    """Without words that part is zero and no sentence is encoded; with them again, no picture is."""
    encoder = FakeEncoder()
    await run_job(shop, encoder, store, with_words=False)
    assert encoder.texts_encoded == 0
    assert all("words" not in FAKE_SPACE.split(row.vector) for row in store.rows.values())
    encoder = FakeEncoder()
    await run_job(shop, encoder, store)
    assert (encoder.pictures_encoded, encoder.texts_encoded) == (0, 11)
    assert all("words" in FAKE_SPACE.split(row.vector) for row in store.rows.values())
    await run_job(shop, FakeEncoder(), store, with_words=False)
    assert all("words" not in FAKE_SPACE.split(row.vector) for row in store.rows.values())


async def test_a_space_without_words_needs_no_sentence(shop: SmallShop) -> None:
    """Where the space has no part for words, none are encoded."""
    parts = tuple(part for part in FAKE_SPACE.parts if part.name != "words")
    encoder = FakeEncoder(EmbeddingSpace("mute-1", parts, "meaning", 10.0))
    store = FakeStore()
    await store.create(encoder.space, timeout=TIMEOUT)
    report = await run_job(shop, encoder, store)
    assert (report.indexed, encoder.texts_encoded) == (22, 0)


async def test_a_new_space_embeds_everything(shop: SmallShop, store: FakeStore) -> None:
    """Rows that an encoder of another name made are not taken for unchanged."""
    await run_job(shop, None, store)
    encoder = FakeEncoder(EmbeddingSpace("fake-2", FAKE_SPACE.parts, "meaning", 10.0))
    assert (await run_job(shop, encoder, store)).indexed == 22


async def test_sentences_are_encoded_once_a_batch(shop: SmallShop, store: FakeStore) -> None:
    """Pictures of one product in one batch share one sentence."""
    tokenizer = WordTokenizer()
    await run_job(shop, None, store, tokenizer=tokenizer, batch=22)
    assert len(tokenizer.sentences) == len(set(tokenizer.sentences)) == 11
    assert tokenizer.sentences == sorted(tokenizer.sentences, key=len)


async def test_a_picture_that_is_bad_falls_out_alone(shop: SmallShop, store: FakeStore) -> None:
    """A missing and a damaged file are listed with their line and reason; the products' other pictures go on."""
    (shop.images / "2/0.jpg").unlink()
    (shop.images / "5/1.jpg").write_bytes(b"no picture at all")
    whole = (shop.images / "7/0.jpg").read_bytes()
    (shop.images / "7/0.jpg").write_bytes(whole[: len(whole) // 2])
    report = await run_job(shop, None, store)
    assert (report.indexed, report.rejected_pictures, report.rejected_lines) == (19, 3, 0)
    rejects = {(each["line"], each["picture_id"]): each for each in shop.read_rejects()}
    assert set(rejects) == {(3, "v0"), (6, "v1"), (8, "v0")}
    assert rejects[3, "v0"]["field"] == "pictures[0].path"
    assert rejects[3, "v0"]["reason"] == "pictures[0].path names no file in the pictures folder: '2/0.jpg'"
    assert rejects[6, "v1"]["field"] == "pictures[1].image"
    assert "5/1.jpg" in rejects[6, "v1"]["reason"]
    assert (rejects[8, "v0"]["shop"], rejects[8, "v0"]["product_id"]) == ("norden", "p7")


async def test_an_indexed_picture_whose_file_is_gone(shop: SmallShop, store: FakeStore) -> None:
    """A picture of which the index has a row, but the folder no file any more, is rejected and its row stays."""
    await run_job(shop, None, store)
    (shop.images / "2/0.jpg").unlink()
    report = await run_job(shop, None, store)
    assert (report.rejected_pictures, report.unchanged, len(store.rows)) == (1, 21, 22)


async def test_a_bad_line_falls_out_alone(shop: SmallShop, store: FakeStore) -> None:
    """Lines that are no product are listed with their numbers, the others are indexed."""
    lines = shop.catalog.read_text().splitlines()
    lines[4] = "{"
    lines.insert(0, '{"shop": "norden"}')
    shop.catalog.write_text("\n".join(lines))
    report = await run_job(shop, None, store)
    assert (report.indexed, report.rejected_lines) == (20, 2)
    assert [each["line"] for each in shop.read_rejects()] == [1, 6]


async def test_a_product_too_large_for_the_index_falls_out(shop: SmallShop, store: FakeStore) -> None:
    """A product that is valid but does not fit into a row is listed among the rejected lines."""
    shop.products[0] |= {
        "description": "😀" * 10_000,
        "attributes": {str(number): "é" * 256 for number in range(60)},
    }
    shop.save()
    report = await run_job(shop, None, store)
    assert (report.rejected_lines, report.indexed) == (1, 20)
    assert "bytes in the index" in shop.read_rejects()[0]["reason"]


async def test_an_empty_catalog_is_done_at_once(shop: SmallShop, store: FakeStore) -> None:
    """A catalog without a line ends with nothing done."""
    shop.catalog.write_text("\n")
    report = await run_job(shop, None, store)
    assert (report.offered, report.settled) == (0, 0)


class BrokenEncoder(FakeEncoder):
    """Gives one NaN in `part` for the picture of that number, counted over all batches."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        first = self.pictures_encoded == 0
        parts = await super().encode_images(pictures, timeout=timeout)
        if first:
            parts[self.part][0, 1] = np.nan
        return parts


async def test_a_vector_that_is_not_finite_is_not_written(shop: SmallShop, store: FakeStore) -> None:
    """A picture for which the encoder gives NaN falls out; Milvus would take it."""
    report = await run_job(shop, BrokenEncoder("colour"), store)
    assert (report.rejected_pictures, report.indexed) == (1, 21)
    assert "its part 'colour' has the length nan" in shop.read_rejects()[0]["reason"]
    assert all(np.isfinite(row.vector).all() for row in store.rows.values())


async def test_an_encoder_of_the_wrong_size_ends_the_job(shop: SmallShop, store: FakeStore) -> None:
    """Parts of other sizes than the space says are a fault in the set-up, named by part and sizes."""
    encoder = FakeEncoder()
    parts = (Part("look", 13), *FAKE_SPACE.parts[1:])
    encoder.space = EmbeddingSpace(FAKE_SPACE.name, parts, "meaning", 10.0)
    with pytest.raises(BackendError, match="'look' with 12 numbers, its space says 13"):
        await run_job(shop, encoder, store)
    assert not store.rows


class FlakyEncoder(FakeEncoder):
    """Is away for the first `failures` calls, or for good after `limit` pictures."""

    def __init__(self, failures: int = 0, limit: int | None = None) -> None:
        super().__init__()
        self.failures = failures
        self.limit = limit

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        if self.failures or (self.limit is not None and self.pictures_encoded >= self.limit):
            self.failures -= 1
            raise BackendUnavailableError("Triton is away")
        return await super().encode_images(pictures, timeout=timeout)


async def test_an_encoder_that_comes_back_costs_nothing(shop: SmallShop, store: FakeStore) -> None:
    """Failures that pass are tried again, and every picture is indexed."""
    report = await run_job(shop, FlakyEncoder(failures=2), store)
    assert (report.indexed, report.retries, report.last_trouble) == (22, 2, "Triton is away")


async def test_an_encoder_that_stays_away_ends_the_job(shop: SmallShop, store: FakeStore) -> None:
    """Where tries do not help the job raises; what was embedded before is in the index, and the next run goes on."""
    with pytest.raises(BackendUnavailableError, match="Triton is away"):
        await run_job(shop, FlakyEncoder(limit=8), store, in_flight=1)
    assert len(store.rows) == 8
    encoder = FakeEncoder()
    report = await run_job(shop, encoder, store)
    assert (encoder.pictures_encoded, report.unchanged, set(store.rows)) == (14, 8, shop.keys())


class FlakyStore(FakeStore):
    """Loses the answer of an upsert that it did, or of every one."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
        await super().upsert(rows, timeout=timeout)
        if self.failures:
            self.failures -= 1
            raise BackendUnavailableError("Milvus is away")


async def test_a_lost_answer_writes_nothing_twice(shop: SmallShop) -> None:
    """An upsert that is tried again after it was done leaves each picture once."""
    store = FlakyStore(failures=2)
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    report = await run_job(shop, None, store)
    assert (report.indexed, set(store.rows)) == (22, shop.keys())


async def test_a_store_that_stays_away_ends_the_job(shop: SmallShop) -> None:
    """Where Milvus is lost for good the job ends by its error, however much waits to be written."""
    store = FlakyStore(failures=10**6)
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    with pytest.raises(BackendUnavailableError, match="Milvus is away"):
        await asyncio.wait_for(run_job(shop, None, store, batch=1, in_flight=1), 30)


async def test_a_rejects_file_that_cannot_be_written_ends_the_job(shop: SmallShop, store: FakeStore) -> None:
    """Where rejects cannot be listed the job raises OSError instead of dropping them."""
    (shop.images / "2/0.jpg").unlink()
    with RejectsFile(shop.rejects) as rejects, ThreadPoolExecutor(2) as pool:
        shop.rejects.mkdir()  # where the file is to be
        job = make_job(shop, FakeEncoder(), store, Report(rejects), pool)
        with pytest.raises(IsADirectoryError):
            await job.run()


class GatedStore(FakeStore):
    """Writes nothing before `gate` is open; `waiting` is set once an upsert stands before it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()

    async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
        self.waiting.set()
        await self.gate.wait()
        await super().upsert(rows, timeout=timeout)


class WatchedCatalog(Catalog):
    """Sets `ended` when its last line was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.ended = threading.Event()

    def __iter__(self) -> Iterator[Entry | Reject]:
        yield from super().__iter__()
        self.ended.set()


async def test_a_slow_writer_makes_the_reader_wait(tmp_path: Path) -> None:
    """While nothing can be written, a bounded part of the catalog is read and embedded, and no more."""
    batch, in_flight, count = 8, 2, 3000
    shop = make_shop(tmp_path, 1, views=1)
    shop.products = [{**shop.products[0], "product_id": f"p{number}"} for number in range(count)]
    shop.save()
    store = GatedStore()
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    encoder, catalog = FakeEncoder(), WatchedCatalog(shop.catalog)
    with RejectsFile(shop.rejects) as rejects, ThreadPoolExecutor(2) as pool:
        report = Report(rejects)
        job = make_job(shop, encoder, store, report, pool, catalog=catalog, batch=batch, in_flight=in_flight)
        running = asyncio.create_task(job.run())
        await asyncio.wait_for(store.waiting.wait(), TIMEOUT)
        assert not await asyncio.to_thread(catalog.ended.wait, 1.5)  # were a queue unbounded, it would be
        embedded = encoder.pictures_encoded
        assert report.pictures <= 4 * CHUNK  # one chunk each: with the reader, in its queue, with the planner
        assert embedded <= MAX_ROWS + 2 * batch * in_flight
        store.gate.set()
        await asyncio.wait_for(running, 60)
    assert report.indexed == count
    assert len(store.rows) == count


class GatedEncoder(FakeEncoder):
    """Encodes the first batch at once, and the following ones when `gate` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        if self.pictures_encoded:
            self.waiting.set()
            await self.gate.wait()
        return await super().encode_images(pictures, timeout=timeout)


async def test_stopping_writes_what_is_in_flight(shop: SmallShop, store: FakeStore) -> None:
    """A job that is stopped finishes the batches at the encoder, writes them, and takes up no other."""
    encoder = GatedEncoder()
    with RejectsFile(shop.rejects) as rejects, ThreadPoolExecutor(2) as pool:
        report = Report(rejects)
        job = make_job(shop, encoder, store, report, pool, batch=4, in_flight=1)
        running = asyncio.create_task(job.run())
        await asyncio.wait_for(encoder.waiting.wait(), TIMEOUT)
        job.stop()
        encoder.gate.set()
        await asyncio.wait_for(running, TIMEOUT)
    assert encoder.pictures_encoded == report.indexed == len(store.rows) == 8
    assert (await run_job(shop, None, store)).unchanged == 8


async def test_rows_of_one_key_are_written_once(store: FakeStore, shop: SmallShop) -> None:
    """Of several rows with one key in a batch the last one counts."""
    await run_job(shop, None, store)
    first, second = list(store.rows.values())[:2]
    twin = Row(**{**vars(second), "key": first.key})
    before = store.writes
    writer = Writer(store=store, retrier=Retrier(Backoff(), asyncio.Event()), timeout=TIMEOUT)
    await writer.write([first, second, twin])
    assert store.writes - before == 2
    assert store.rows[first.key] == twin


async def test_many_rows_are_written_in_bounded_pieces(store: FakeStore, shop: SmallShop) -> None:
    """No upsert carries more rows than fit into one message."""
    await run_job(shop, None, store)
    row = next(iter(store.rows.values()))
    rows = [Row(**{**vars(row), "key": f"{number:032}"}) for number in range(MAX_ROWS + 1)]
    sizes: list[int] = []

    class CountingStore(FakeStore):
        async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
            sizes.append(len(rows))

    await Writer(store=CountingStore(), retrier=Retrier(Backoff(), asyncio.Event()), timeout=TIMEOUT).write(rows)
    assert sizes == [MAX_ROWS, 1]


class SettlingStore(FakeStore):
    """Has its index when it was asked for it so many times; calls `asked` each time."""

    def __init__(self, looks: int, asked: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.looks = looks
        self.asked = asked

    async def is_settled(self, *, timeout: float) -> bool:
        self.looks -= 1
        self.asked()
        return self.looks <= 0


async def test_the_writer_waits_for_the_index() -> None:
    """What was written is settled when the store searches it by its index."""
    store = SettlingStore(looks=2)
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    writer = Writer(store=store, retrier=Retrier(Backoff(), asyncio.Event()), timeout=TIMEOUT)
    assert await writer.settle()  # nothing was written
    assert store.looks == 2
    await writer.write([Row("k", "p", 0, np.zeros(FAKE_SPACE.size, np.float32), Facets("shop"), b"")])
    assert await writer.settle()
    assert store.looks == 0


async def test_a_job_that_is_stopped_does_not_wait_for_the_index() -> None:
    """A stop ends the wait for the index, which is told to be pending."""
    stopping = asyncio.Event()
    store = SettlingStore(looks=10**9, asked=stopping.set)
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    writer = Writer(store=store, retrier=Retrier(Backoff(), stopping), timeout=TIMEOUT)
    await writer.write([Row("k", "p", 0, np.zeros(FAKE_SPACE.size, np.float32), Facets("shop"), b"")])
    assert not await writer.settle()
