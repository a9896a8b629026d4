"""What a run that died has left of its work, and what the next one believes of it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes import FakeEncoder, FakeStore
from indexer_fixtures import SmallShop, draw_picture, make_job, make_shop
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.rejects import RejectsFile
from sosie.indexer.report import Report
from sosie.indexer.target.journal import MAX_AGE, Journal
from sosie.indexer.target.ledger import Ledger

TERMS = {"collection": "c1"}
A, B = "a" * 32, "b" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def note(path: Path, *digests: str) -> None:
    with Journal(path, TERMS) as journal:
        for digest in digests:
            journal.add(digest, 3)


def test_what_was_added_is_there_again(path: Path) -> None:
    """A journal knows what earlier runs added to it under the same terms, and how many rows that was."""
    note(path, A)
    note(path, B)
    with Journal(path, TERMS) as journal:
        assert (A in journal, B in journal, "c" * 32 in journal) == (True, True, False)
        assert (len(journal), journal.rows) == (2, 6)


def test_other_terms_begin_anew(path: Path) -> None:
    """A journal of another collection is not believed, and is gone."""
    note(path, A)
    with Journal(path, {"collection": "c2"}) as journal:
        assert len(journal) == 0
    with Journal(path, TERMS) as journal:
        assert len(journal) == 0


@pytest.mark.parametrize("cut", range(1, 36))
def test_a_torn_entry_is_cut_off(cut: int, path: Path) -> None:
    """Of a journal that ends in the middle of an entry, wherever, the whole ones count, and more can be added."""
    note(path, A, B)
    os.truncate(path, path.stat().st_size - cut)
    with Journal(path, TERMS) as journal:
        assert (A in journal, B in journal) == (True, False)
        journal.add(B, 3)
    with Journal(path, TERMS) as journal:
        assert journal.rows == 6


@pytest.mark.parametrize("torn", [b"", b"{", b"\xff\xfe\n", b"\n"])
def test_a_torn_head_begins_anew(torn: bytes, path: Path) -> None:
    """A journal whose first line is not whole is empty."""
    path.write_bytes(torn)
    with Journal(path, TERMS) as journal:
        assert len(journal) == 0
        journal.add(A, 1)
    with Journal(path, TERMS) as journal:
        assert A in journal


def test_an_old_journal_is_not_believed(path: Path) -> None:
    """After a day without an entry a journal counts as empty."""
    note(path, A)
    os.utime(path, (time.time() - MAX_AGE - 60,) * 2)
    with Journal(path, TERMS) as journal:
        assert len(journal) == 0


def test_a_cleared_journal_keeps_its_terms(path: Path) -> None:
    """What is added after clearing is all that is there."""
    with Journal(path, TERMS) as journal:
        journal.add(A, 1)
        journal.clear()
        journal.add(B, 2)
    with Journal(path, TERMS) as journal:
        assert (A in journal, B in journal, journal.rows) == (False, True, 2)
        journal.remove()
    assert not path.exists()


async def run_with_journal(shop: SmallShop, store: FakeStore, path: Path, encoder: FakeEncoder | None = None) -> Report:
    """One run of the job that keeps the journal, as one that dies at its end would leave it."""
    with (
        RejectsFile(shop.rejects) as rejects,
        ThreadPoolExecutor(2) as pool,
        Journal(path, TERMS) as journal,
    ):
        report = Report(rejects)
        ledger = Ledger(journal, PictureFolder(shop.images), pool)
        await make_job(shop, encoder or FakeEncoder(), store, report, pool, ledger=ledger).run()
        assert ledger._by_key == {}
    return report


@pytest.fixture
async def store() -> FakeStore:
    store = FakeStore()
    await store.create(FakeEncoder().space, timeout=5)
    return store


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    """600 pictures: three chunks."""
    return make_shop(tmp_path / "shop", 200, views=3)


class BlindStore(FakeStore):
    """Answers no question about what it has."""

    async def digests(self, keys: object, *, timeout: float) -> dict[str, object]:  # type: ignore[override]
        pytest.fail("the store is asked about work that the journal has")


async def test_what_the_journal_has_is_left_alone(shop: SmallShop, store: FakeStore, path: Path) -> None:
    """A second run asks the store nothing and encodes nothing; each picture counts as unchanged, and as resumed."""
    assert (await run_with_journal(shop, store, path)).resumed == 0
    blind = BlindStore()
    await blind.create(FakeEncoder().space, timeout=5)
    encoder = FakeEncoder()
    report = await run_with_journal(shop, blind, path, encoder)
    assert (report.unchanged, report.resumed, report.indexed, encoder.pictures_encoded) == (600, 600, 0, 0)


async def test_what_changed_is_done_again(shop: SmallShop, store: FakeStore, path: Path) -> None:
    """A line or a file that changed since has its chunk compared again, and only that."""
    await run_with_journal(shop, store, path)
    draw_picture(shop.images / "0/0.jpg", seed=9999)
    shop.products[199]["price"]["units"] = "7"
    shop.save()
    report = await run_with_journal(shop, store, path)
    assert (report.indexed, report.rewritten, report.unchanged) == (1, 3, 596)
    assert report.resumed == 258  # chunks are of whole products: 258, 258 and 84 pictures


async def test_a_chunk_with_rejects_is_not_done(shop: SmallShop, store: FakeStore, path: Path) -> None:
    """Pictures that fell out, new ones that cannot be decoded among them, are found again by the run that goes on."""
    (shop.images / "0/0.jpg").write_bytes(b"no picture")
    (shop.images / "199/0.jpg").unlink()
    for resumed in (0, 258):
        report = await run_with_journal(shop, store, path)
        assert [reject["product_id"] for reject in shop.read_rejects()] == ["p0", "p199"]
        assert (report.resumed, report.rejected_pictures) == (resumed, 2)


async def test_a_known_picture_that_is_gone_leaves_its_chunk_undone(
    shop: SmallShop, store: FakeStore, path: Path, tmp_path: Path
) -> None:
    """A picture that the index has and the folder no longer is listed by each run that goes on."""
    await run_with_journal(shop, store, path)
    (shop.images / "199/0.jpg").unlink()
    for _ in range(2):
        report = await run_with_journal(shop, store, path)
        assert (report.resumed, report.rejected_pictures) == (516, 1)
