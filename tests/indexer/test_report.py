"""Counting, limits on rejects, the rejects file, retries and the line of progress."""

import asyncio
import io
import json
from pathlib import Path

import pytest

from indexer_fixtures import make_shop
from sosie.engine.errors import (
    BackendError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    EngineError,
)
from sosie.indexer.catalog import Catalog
from sosie.indexer.progress import describe, show_progress
from sosie.indexer.rejects import Reject, RejectsFile
from sosie.indexer.report import MaxRejects, Report
from sosie.indexer.retries import Backoff, Retrier


@pytest.mark.parametrize(
    ("text", "rejected", "offered", "exceeded"),
    [
        ("0", 0, 10, False),
        ("0", 1, 10, True),
        ("3", 3, 3, False),
        ("3", 4, 1000, True),
        ("5%", 5, 100, False),
        ("5%", 6, 100, True),
        ("2.5%", 1, 40, False),
        ("2.5%", 1, 39, True),
        ("100%", 7, 7, False),
        ("5%", 0, 0, False),
    ],
)
def test_max_rejects(text: str, rejected: int, offered: int, exceeded: bool) -> None:
    """A number is a number of rejects, a percentage is a share of what the catalog offers; the limit itself passes."""
    assert MaxRejects.parse(text).exceeded(rejected, offered) is exceeded
    assert str(MaxRejects.parse(text)) == text


@pytest.mark.parametrize("text", ["", "-1", "five", "101%", "5 %%", "1.5", "nan%", "1e3"])
def test_max_rejects_that_mean_nothing(text: str) -> None:
    """Anything but a whole number or a percentage up to 100 raises ValueError."""
    with pytest.raises(ValueError, match="expected a number"):
        MaxRejects.parse(text)


def test_rejects_are_on_disk_at_once(tmp_path: Path) -> None:
    """Each reject is a line of JSON in the file before the next one comes."""
    path = tmp_path / "rejects.jsonl"
    with RejectsFile(path) as rejects:
        assert not path.exists()
        rejects.add(Reject(3, "title must be short", "title", "norden", "p1"))
        assert json.loads(path.read_text()) == {
            "line": 3,
            "reason": "title must be short",
            "field": "title",
            "shop": "norden",
            "product_id": "p1",
            "picture_id": "",
            "file": "",
        }


def test_rejects_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    """A run without rejects leaves no file behind, not even an earlier run's."""
    path = tmp_path / "rejects.jsonl"
    path.write_text("{}\n")
    with RejectsFile(path):
        pass
    assert not path.exists()


def test_rejects_are_counted_by_field(tmp_path: Path) -> None:
    """The report groups rejects by field, whichever of a product's pictures it is, the most frequent first."""
    with RejectsFile(tmp_path / "r.jsonl") as rejects:
        report = Report(rejects)
        report.pictures = 8
        report.reject_line(Reject(1, "is not UTF-8"))
        report.reject_picture(Reject(2, "pictures[0].path is missing", "pictures[0].path"))
        report.reject_picture(Reject(9, "pictures[4].path is missing", "pictures[4].path"))
    books = report.as_dict()["rejected"]
    assert books["by_field"] == {
        "pictures[].path": {
            "count": 2,
            "first_file": "",
            "first_line": 2,
            "first_reason": "pictures[0].path is missing",
        },
        "line": {"count": 1, "first_file": "", "first_line": 1, "first_reason": "is not UTF-8"},
    }
    assert list(books["by_field"]) == ["pictures[].path", "line"]
    assert (books["lines"], books["pictures"], report.rejected, report.offered) == (1, 2, 3, 9)


def test_the_rate_is_of_settled_pictures(tmp_path: Path) -> None:
    """The rate is what the job is through with, by the time since the report was begun."""
    now = [100.0]
    with RejectsFile(tmp_path / "r.jsonl") as rejects:
        report = Report(rejects, clock=lambda: now[0])
        report.indexed, report.unchanged, report.rewritten = 10, 5, 3
        report.reject_picture(Reject(1, "x"))
        report.reject_picture(Reject(1, "x"))
        now[0] = 104.0
        assert report.as_dict()["pictures_per_second"] == 5.0
        assert report.as_dict()["seconds"] == 4.0


def test_progress_is_one_line(tmp_path: Path) -> None:
    """Midway the line tells the rate, an estimate of all and the time left; at the end it estimates nothing."""
    shop = make_shop(tmp_path, 10, views=1)
    catalog = Catalog(shop.catalog)
    now = [0.0]
    with RejectsFile(tmp_path / "r.jsonl") as rejects:
        report = Report(rejects, clock=lambda: now[0])
        assert describe(catalog, report) == "0 of about 0 pictures, 0.0/s"
        now[0] = 4.0
        catalog.bytes_read = catalog.size // 2
        report.pictures, report.indexed = 500, 200
        catalog.size = catalog.bytes_read * 2
        assert describe(catalog, report) == "200 of about 1,000 pictures, 50.0/s, 0:16 left"
        catalog.bytes_read = catalog.size
        report.reject_line(Reject(1, "x"))
        assert describe(catalog, report) == "200 of 500 pictures, 50.0/s, 0:06 left, 1 rejected"
        report.note_retry(BackendUnavailableError("Triton:\n  away"))
        assert describe(catalog, report).endswith("1 rejected, 1 tried again (the last: Triton: away)")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Pipe(io.StringIO):
    """Sets `written` with the first line."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


async def test_progress_off_a_terminal(tmp_path: Path) -> None:
    """Where nobody watches, progress is plain lines."""
    shop = make_shop(tmp_path, 2, views=1)
    stream = Pipe()
    with RejectsFile(tmp_path / "r.jsonl") as rejects:
        async with show_progress(Catalog(shop.catalog), Report(rejects), stream, every=0.001):
            await asyncio.wait_for(stream.written.wait(), 5)
    assert stream.getvalue().startswith("0 of about 0 pictures")
    assert "\x1b" not in stream.getvalue()


async def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal, progress is a bar that is gone afterwards."""
    shop = make_shop(tmp_path, 2, views=1)
    stream = Terminal()
    with RejectsFile(tmp_path / "r.jsonl") as rejects:
        async with show_progress(Catalog(shop.catalog), Report(rejects), stream):
            pass
    assert "indexing" in stream.getvalue()


class Failing:
    """Fails `times` times with `error`, then answers 7."""

    def __init__(self, error: EngineError, times: int) -> None:
        self.error = error
        self.left = times
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return 7


PASSING = [BackendUnavailableError("away"), BackendOverloadedError("full"), BackendTimeoutError("slow")]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
async def test_passing_errors_are_tried_again(error: EngineError) -> None:
    """A call that fails twice with what may pass succeeds at the third try."""
    noted: list[EngineError] = []
    retrier = Retrier(Backoff(attempts=3, first=0.001), asyncio.Event(), noted.append)
    failing = Failing(error, 2)
    assert await retrier.call(failing) == 7
    assert (failing.calls, noted) == (3, [error, error])


async def test_the_last_try_raises() -> None:
    """A call that never succeeds raises its own error after the given tries."""
    failing = Failing(PASSING[0], 99)
    with pytest.raises(BackendUnavailableError):
        await Retrier(Backoff(attempts=3, first=0.001), asyncio.Event()).call(failing)
    assert failing.calls == 3


async def test_lasting_errors_are_not_tried_again() -> None:
    """A fault in the set-up raises at once."""
    failing = Failing(BackendError("wrong model"), 1)
    with pytest.raises(BackendError):
        await Retrier(Backoff(attempts=3, first=0.001), asyncio.Event()).call(failing)
    assert failing.calls == 1


async def test_stopping_ends_the_tries() -> None:
    """A call that waits for its next try raises as soon as the job is to stop."""
    stopping = asyncio.Event()
    call = asyncio.create_task(Retrier(Backoff(attempts=3, first=3600), stopping).call(Failing(PASSING[0], 99)))
    stopping.set()
    with pytest.raises(BackendUnavailableError):
        await asyncio.wait_for(call, 5)


def test_pauses_double_up_to_a_limit() -> None:
    """The pauses between tries are 0.5, 1, 2, 4, 8 and never more than 8 seconds."""
    assert [Backoff().pause(attempt) for attempt in range(1, 7)] == [0.5, 1, 2, 4, 8, 8]
