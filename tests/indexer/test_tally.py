"""The run's books, from those of partitions on other machines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sosie.indexer.cluster.books import Books, PartitionReport
from sosie.indexer.cluster.tally import Tally
from sosie.indexer.rejects import Reject, RejectsFile
from sosie.indexer.report import Report


class Reading:
    """Of a catalog, how far it has been read."""

    def __init__(self) -> None:
        self.bytes_read = 0


@pytest.fixture
def report(tmp_path: Path) -> Iterator[Report]:
    with RejectsFile(tmp_path / "rejects.jsonl") as rejects:
        yield Report(rejects)


def take_books(indexed: int, error: str = "") -> Books:
    """A partition's books with everything in them."""
    report = PartitionReport()
    report.products, report.pictures, report.indexed = indexed, indexed + 1, indexed
    report.times.seconds["encode"] = 0.5 * indexed
    report.reject_line(Reject(3, "is no line"))
    report.reject_picture(Reject(4, "is no picture", "pictures[0].path"))
    return report.close(100 * indexed, {"products_changed": 1, "changes": {"brand": indexed}}, error)


def describe(report: Report) -> dict[str, Any]:
    books = report.as_dict()
    return {name: books[name] for name in books if name not in {"seconds", "pictures_per_second"}}


def test_a_tally_adds_up(report: Report) -> None:
    """The run's books are the sums of its partitions', with every reject listed once."""
    reading = Reading()
    tally = Tally(report, reading)
    tally.update(0, take_books(2))
    tally.settle(1, take_books(5))
    tally.settle(0, take_books(3))
    assert (report.products, report.pictures, report.indexed) == (8, 10, 8)
    assert (report.rejected_lines, report.rejected_pictures) == (2, 2)
    assert len(report._rejects.path.read_text().splitlines()) == 4
    assert report.times.seconds == {"encode": 4.0}
    assert reading.bytes_read == 800
    assert tally.cleaning == {"products_changed": 2, "changes": {"brand": 8}}


def test_what_is_lost_is_taken_out(report: Report) -> None:
    """A partition that is lost leaves nothing in the run's books."""
    reading = Reading()
    tally = Tally(report, reading)
    tally.settle(0, take_books(5))
    before = describe(report)
    tally.update(0, take_books(2))
    assert describe(report) != before
    tally.drop(0)
    tally.drop(0)
    assert describe(report) == before
    assert reading.bytes_read == 500


def test_partitions_count_all_that_a_report_does(report: Report) -> None:
    """Every number in a report's books is sent, but those that its rejects come to."""
    counts = take_books(1).counts
    numbers = {name for name, value in report.as_dict().items() if type(value) is int}
    assert numbers <= counts.keys()
