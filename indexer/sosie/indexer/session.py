"""One run from its settings to its outcome.

1. `open_state` takes the target's lock, and what earlier runs left.
2. `_open` opens what the run works with: the catalog, the encoder, the collection to fill.
3. `_fill` brings the catalog's pictures into the collection.
4. `_prune` deletes what the catalog no longer has, where that is asked for.
5. `_finish` puts a rebuilt collection in the live one's place, and clears what only an unfinished run needs.

A signal, and a fault, end the run after the step that it is in; the next run goes on from there.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sosie.engine.errors import EngineError
from sosie.engine.inference import Encoder
from sosie.indexer.cleaning.clean_catalog import CleanCatalog, CleaningOptions
from sosie.indexer.cluster.errors import ClusterError
from sosie.indexer.cluster.options import ClusterOptions
from sosie.indexer.cluster.worker import Work
from sosie.indexer.embedding import Tokenize
from sosie.indexer.encoding.spreading import SpreadEncoder
from sosie.indexer.faults import describe_os_error
from sosie.indexer.job import Job, JobOptions
from sosie.indexer.opening import Backends, open_backends
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.progress import show_progress
from sosie.indexer.recipe import Recipe
from sosie.indexer.rejects import RejectsFile
from sosie.indexer.report import MaxRejects, Report
from sosie.indexer.reporting.events import Events
from sosie.indexer.retries import Retrier
from sosie.indexer.target.answering import Examiner
from sosie.indexer.target.collected import CollectedOpener
from sosie.indexer.target.errors import RefusedError
from sosie.indexer.target.journal import Journal
from sosie.indexer.target.ledger import Ledger
from sosie.indexer.target.options import TargetOptions
from sosie.indexer.target.state import TargetState, open_state
from sosie.indexer.target.target import Target, open_target
from sosie.indexer.tokenizing import open_tokenizer
from sosie.indexer.writing import Writer


@dataclass(frozen=True)
class Settings:
    """All that one run of `sosie index` is told."""

    catalog: Path
    images: Path
    models: Path
    backends: Backends
    rejects: Path
    options: JobOptions
    max_rejects: MaxRejects
    state: Path = Path(".sosie") / "index"
    events: str | None = None
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    cluster: ClusterOptions | None = None
    """None where this process does the work itself."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `report` is Report.as_dict() with what was indexed into.

    `error` is one line where it failed; `refused` where what was asked for would have done too much harm; `stopped_by`
    the number of the signal that ended it.
    """

    report: dict[str, Any]
    rejected: int
    offered: int
    error: str | None = None
    refused: bool = False
    stopped_by: int | None = None


def tell_nobody(line: str) -> None:
    """What a run says to people, where there are none."""


@dataclass
class Run:
    """What a run works with, open."""

    settings: Settings
    state: TargetState
    catalog: CleanCatalog
    folder: PictureFolder
    encoder: SpreadEncoder
    tokenizer: Tokenize
    target: Target
    report: Report
    events: Events
    pool: Executor
    journal: Journal
    tell: Callable[[str], None] = tell_nobody
    """Says a line to people at once."""
    stops: list[Callable[[], None]] = field(default_factory=list)
    """What `stop` calls: each part that is at work."""
    stopping: bool = False
    signals: list[int] = field(default_factory=list)
    """Those that stopped the run."""
    error: str | None = None
    """Why the run failed, if it did."""
    refused: bool = False

    @property
    def has_too_many_rejects(self) -> bool:
        """Whether the run counts as failed for what fell out: then nothing is deleted or replaced after it."""
        return self.settings.max_rejects.exceeded(self.report.rejected, self.report.offered)

    def stop(self) -> None:
        """Nothing new is taken up from now on."""
        self.stopping = True
        for stop in self.stops:
            stop()

    def fail(self, error: str) -> None:
        """Stops, and keeps the first reason."""
        self.error = self.error or error
        self.stop()


async def index_catalog(settings: Settings, tell: Callable[[str], None] = tell_nobody) -> Outcome:
    """`tell` is given each line for people that cannot wait for the end.

    Raises SetupError, LockedError, EngineError and OSError where the run cannot begin. Later faults are in the outcome.
    """
    async with AsyncExitStack() as stack:
        state = stack.enter_context(open_state(settings.state, settings.backends.store, settings.backends.collection))
        run = await _open(settings, state, stack)
        run.tell = tell
        _tell_what_was_left(run)
        loop = asyncio.get_running_loop()
        state.lock.watch(lambda reason: loop.call_soon_threadsafe(run.fail, reason))
        run.events.emit("started", catalog=str(settings.catalog), collection=settings.backends.collection)
        with stop_on_signals(run):
            async with show_progress(run.catalog, run.report):
                await _work(run)
        return _conclude(run)


async def _open(settings: Settings, state: TargetState, stack: AsyncExitStack) -> Run:
    folder = PictureFolder(settings.images)
    near_duplicates = settings.cleaning.watch_pictures(folder, settings.rejects, settings.options.threads)
    catalog = CleanCatalog(settings.catalog, settings.cleaning, near_duplicates)
    events = stack.enter_context(Events(settings.events))
    encoder, store = await stack.enter_async_context(open_backends(settings.backends, timeout=settings.options.timeout))
    tokenizer = _open_tokenizer(settings, encoder)
    target = await stack.enter_async_context(
        open_target(store, encoder.space, settings.target, timeout=settings.options.timeout)
    )
    pool = stack.enter_context(ThreadPoolExecutor(settings.options.threads, thread_name_prefix="decode"))
    report = Report(stack.enter_context(RejectsFile(settings.rejects)), events=events)
    recipe = Recipe.of(encoder, with_words=settings.options.with_words)
    terms = {
        "collection": target.collection.identity,
        "recipe": repr(recipe),
        "images": str(settings.images.resolve()),
        "cleaning": settings.cleaning.digest,
    }
    journal = stack.enter_context(Journal(state.folder / "journal", {**terms, "version": version("sosie")}))
    if journal.rows > await target.store.count(
        timeout=settings.options.timeout
    ):  # an older state of the store was restored
        journal.clear()
    return Run(settings, state, catalog, folder, encoder, tokenizer, target, report, events, pool, journal)


def _tell_what_was_left(run: Run) -> None:
    """What earlier runs that died have left, and what becomes of it."""
    if run.state.lock.taken_over:
        run.tell(run.state.lock.taken_over)
        run.events.emit("taken_over", reason=run.state.lock.taken_over)
    if run.journal.rows:
        run.tell(f"an earlier run did not come to its end: {run.journal.rows:,} pictures that it did are not looked at")
        run.events.emit("resumed", pictures=run.journal.rows)


async def _work(run: Run) -> None:
    """The steps, one after the other, until one fails or a signal comes."""
    try:
        for step in (_fill, _prune, _finish):
            await step(run)
            if run.stopping:
                return
        run.journal.remove()
    except RefusedError as refusal:
        run.refused = True
        run.fail(str(refusal))
    except (EngineError, ClusterError) as problem:
        run.fail(str(problem))
    except OSError as problem:
        run.fail(describe_os_error(problem))


async def _fill(run: Run) -> None:
    if run.settings.cluster:
        await _fill_by_cluster(run, run.settings.cluster)
        return
    job = Job(
        catalog=run.target.watch(run.catalog),
        folder=run.folder,
        encoder=run.encoder,
        tokenizer=run.tokenizer,
        store=run.target.store,
        report=run.report,
        pool=run.pool,
        options=replace(run.settings.options, twins=run.state.folder / "twins.sqlite"),
        ledger=Ledger(run.journal, run.folder, run.pool),
    )
    run.stops += [job.stop, run.encoder.hurry]
    if run.stopping:  # a signal came while all was opened
        job.stop()
    await job.run()
    run.report.sections["encoders"] = run.encoder.describe()


async def _fill_by_cluster(run: Run, cluster: ClusterOptions) -> None:
    try:
        from sosie.indexer.cluster.fleet import Fleet  # noqa: PLC0415 - Ray is an extra of its own
    except ImportError as error:
        raise ClusterError(f"--engine ray needs what the extra brings: pip install 'sosie[ray]' ({error})") from error
    settings = run.settings
    work = Work(
        catalog=settings.catalog.absolute(),
        images=settings.images.absolute(),
        models=settings.models.absolute(),
        backends=replace(settings.backends, space=run.encoder.space.name),
        collection=run.target.collection.name,
        options=settings.options,
        cleaning=settings.cleaning,
    )
    fleet = Fleet(
        catalog=run.catalog, watch=run.target.watch, work=work, options=cluster, report=run.report, tell=run.tell
    )
    run.stops.append(fleet.stop)
    if run.stopping:  # as above
        fleet.stop()
    await fleet.run()
    if not run.stopping:
        writer = Writer(store=run.target.store, retrier=_make_retrier(run), timeout=settings.options.timeout)
        run.report.index_pending = not await writer.settle(resumed=run.report.indexed + run.report.rewritten > 0)


async def _prune(run: Run) -> None:
    """Deletes what the catalog no longer has. Raises RefusedError where more would go than may."""
    if not run.target.options.prune:
        return
    _refuse_many_rejects(run, "nothing was pruned")
    run.journal.clear()  # it must not tell of rows that are deleted
    run.report.sections["pruned"] = pruned = await run.target.prune(_make_retrier(run))
    run.events.emit("pruned", **pruned)


async def _finish(run: Run) -> None:
    """Switches to a rebuilt collection. Raises RefusedError where it is not what was required."""
    if not run.target.options.rebuild:
        return
    settings, timeout = run.settings, run.settings.options.timeout
    _refuse_many_rejects(run, f"{run.target.collection.name} did not go live")
    run.journal.clear()  # as above
    retrier = _make_retrier(run)
    examiner = Examiner(folder=run.folder, pool=run.pool, retrier=retrier, timeout=timeout)
    opener = CollectedOpener(backends=settings.backends, models=settings.models, encoder=run.encoder, timeout=timeout)
    books = run.report.sections["rebuild"] = {}
    await run.target.replace_live(retrier, examiner, opener, books)
    run.report.index_pending = False  # or it had not gone live
    run.events.emit("rebuilt", **books)


def _refuse_many_rejects(run: Run, consequence: str) -> None:
    if run.has_too_many_rejects:
        counts = f"{run.report.rejected:,} of {run.report.offered:,} rejected"
        raise RefusedError(f"{counts}, more than --max-rejects {run.settings.max_rejects}: {consequence}")


def _make_retrier(run: Run) -> Retrier:
    """One that a signal stops."""
    stopping = asyncio.Event()
    run.stops.append(stopping.set)
    return Retrier(run.settings.options.backoff, stopping, run.report.note_retry)


def _conclude(run: Run) -> Outcome:
    stopped_by = run.signals[0] if run.signals else None
    run.report.sections.setdefault("cleaning", run.catalog.books)
    outcome = "stopped" if stopped_by else "refused" if run.refused else "failed" if run.error else "done"
    books = {
        "outcome": outcome,
        "error": run.error,
        "space": run.encoder.space.name,
        "collection": run.settings.backends.collection,
        **run.report.as_dict(),
    }
    run.events.emit("ended", **books)
    return Outcome(books, run.report.rejected, run.report.offered, run.error, run.refused, stopped_by)


@contextmanager
def stop_on_signals(run: Run) -> Iterator[None]:
    """SIGINT and SIGTERM stop the run, and are listed; a second one ends the process at once, as it would any other."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int) -> None:
        run.signals.append(number)
        run.stop()
        for each in numbers:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        if not run.signals:
            for number in numbers:
                loop.remove_signal_handler(number)


def _open_tokenizer(settings: Settings, encoder: Encoder) -> Tokenize:
    return open_tokenizer(settings.models, encoder, with_words=settings.options.with_words)
