"""One run from its settings to its outcome: opens everything, lets signals stop the job, closes everything."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie.engine.errors import EngineError
from sosie.engine.inference import Encoder, Tokens
from sosie.engine.text import Tokenizer
from sosie.indexer.catalog import Catalog
from sosie.indexer.embedding import Tokenize
from sosie.indexer.job import Job, JobOptions
from sosie.indexer.opening import Backends, open_backends
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.progress import show_progress
from sosie.indexer.recipe import WORDS
from sosie.indexer.rejects import RejectsFile
from sosie.indexer.report import Report


@dataclass(frozen=True)
class Settings:
    """All that one run of `sosie index` is told."""

    catalog: Path
    images: Path
    models: Path
    backends: Backends
    rejects: Path
    options: JobOptions


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `report` is Report.as_dict() with what was indexed into.

    `error` is one line where it failed; `stopped_by` the number of the signal that ended it.
    """

    report: dict[str, Any]
    rejected: int
    offered: int
    error: str | None = None
    stopped_by: int | None = None


async def index_catalog(settings: Settings) -> Outcome:
    """Raises SetupError, EngineError and OSError where the run cannot begin; later faults are in the outcome."""
    catalog = Catalog(settings.catalog)
    folder = PictureFolder(settings.images)
    async with AsyncExitStack() as stack:
        encoder, store = await stack.enter_async_context(
            open_backends(settings.backends, timeout=settings.options.timeout)
        )
        tokenizer = _open_tokenizer(settings, encoder)
        await store.create(encoder.space, timeout=settings.options.timeout)
        pool = stack.enter_context(ThreadPoolExecutor(settings.options.threads, thread_name_prefix="decode"))
        report = Report(stack.enter_context(RejectsFile(settings.rejects)))
        job = Job(
            catalog=catalog,
            folder=folder,
            encoder=encoder,
            tokenizer=tokenizer,
            store=store,
            report=report,
            pool=pool,
            options=settings.options,
        )
        error = None
        with stop_on_signals(job) as signals:
            async with show_progress(catalog, report):
                try:
                    await job.run()
                except EngineError as problem:
                    error = str(problem)
                except OSError as problem:
                    error = describe_os_error(problem)
        stopped_by = signals[0] if signals else None
        outcome = "stopped" if stopped_by else "failed" if error else "done"
        books = {
            "outcome": outcome,
            "error": error,
            "space": encoder.space.name,
            "collection": settings.backends.collection,
            **report.as_dict(),
        }
        return Outcome(books, report.rejected, report.offered, error, stopped_by)


@contextmanager
def stop_on_signals(job: Job) -> Iterator[Sequence[int]]:
    """SIGINT and SIGTERM stop the job, and are listed; a second one ends the process at once, as it would any other."""
    loop = asyncio.get_running_loop()
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int) -> None:
        received.append(number)
        job.stop()
        for each in numbers:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield received
    finally:
        if not received:
            for number in numbers:
                loop.remove_signal_handler(number)


class _NoTokenizer:
    """Stands where no words are encoded."""

    def encode(self, sentences: Sequence[str]) -> Tokens:
        raise AssertionError(f"a run without words is asked to encode {len(sentences)} sentences")


def _open_tokenizer(settings: Settings, encoder: Encoder) -> Tokenize:
    if settings.options.with_words and any(part.name == WORDS for part in encoder.space.parts):
        return Tokenizer.find(settings.models, encoder.text_input)
    return _NoTokenizer()


def describe_os_error(error: OSError) -> str:
    """What went wrong with which file, on one line."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
