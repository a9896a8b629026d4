"""How far the job is, while it runs: a bar on a terminal, a plain line every few seconds elsewhere. On stderr."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from sosie.indexer.catalog import Catalog
from sosie.indexer.report import Report

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_FRAMES = 0.25
_SETTLING = 5  # pictures before a rate means anything


@asynccontextmanager
async def show_progress(
    catalog: Catalog, report: Report, stream: TextIO | None = None, *, every: float = _SECONDS_BETWEEN_LINES
) -> AsyncIterator[None]:
    """Shows the job's progress for as long as the context lasts, and tells machines of it every so many seconds.

    Off a terminal people are told as often.
    """
    stream = stream or sys.stderr

    def tell() -> None:
        report.events.emit("progress", **measure(catalog, report))
        if not stream.isatty():
            print(describe(catalog, report), file=stream, flush=True)

    async with _repeat(every, tell), _show_bar(catalog, report, stream):
        yield


@asynccontextmanager
async def _show_bar(catalog: Catalog, report: Report, stream: TextIO) -> AsyncIterator[None]:
    if not stream.isatty():
        yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("indexing"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[line]}"),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("", total=1.0, line="")

        def draw() -> None:
            bar.update(task, completed=_fraction(catalog, report), line=describe(catalog, report))

        async with _repeat(_SECONDS_BETWEEN_FRAMES, draw):
            yield


def measure(catalog: Catalog, report: Report) -> dict[str, Any]:
    """How far the job is: pictures it is through with, about how many there are, pictures a second, rejects."""
    return {
        "pictures": report.settled,
        "of": _estimate_total(catalog, report),
        "pictures_per_second": round(report.settled / report.seconds, 2) if report.seconds else 0.0,
        "rejected": report.rejected,
    }


def describe(catalog: Catalog, report: Report) -> str:
    """The state on one line, e.g. "1,200 of about 4,800 pictures, 31.0/s, 1:56 left, 3 rejected"."""
    rate = report.settled / report.seconds if report.seconds else 0.0
    total = _estimate_total(catalog, report)
    about = "" if catalog.bytes_read >= catalog.size else "about "
    pieces = [f"{report.settled:,} of {about}{total:,} pictures", f"{rate:.1f}/s"]
    if report.settled >= _SETTLING:
        minutes, seconds = divmod(round((total - report.settled) / rate), 60)
        pieces.append(f"{minutes}:{seconds:02d} left")
    if report.rejected:
        pieces.append(f"{report.rejected:,} rejected")
    if report.retries:
        pieces.append(f"{report.retries:,} tried again (the last: {report.last_trouble})")
    return ", ".join(pieces)


def _estimate_total(catalog: Catalog, report: Report) -> int:
    """How many pictures the catalog lists, judged by its part that has been read."""
    if not 0 < catalog.bytes_read < catalog.size:
        return report.pictures
    return round(report.pictures * catalog.size / catalog.bytes_read)


def _fraction(catalog: Catalog, report: Report) -> float:
    return report.settled / max(1, _estimate_total(catalog, report))


@asynccontextmanager
async def _repeat(seconds: float, draw: Callable[[], None]) -> AsyncIterator[None]:
    async def keep_drawing() -> None:
        while True:
            await asyncio.sleep(seconds)
            draw()

    task = asyncio.create_task(keep_drawing())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
