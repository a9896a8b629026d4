"""One run from its settings to its outcome.

1. `open_state` takes the target's lock, and what earlier runs left.
2. `_open` opens what the run works with: the catalog, the encoder, the collection to fill.
3. `fill` brings the catalog's pictures into the collection.
4. `_prune` deletes what the catalog no longer has, where that is asked for.
5. `_finish` puts a rebuilt collection in the live one's place, and clears what only an unfinished run needs.

A signal, and a fault, end the run after the step that it is in; the next run goes on from there.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib.metadata import version

from sosie.engine.errors import EngineError
from sosie.engine.inference import Encoder
from sosie.indexer.cleaning.clean_catalog import CleanCatalog
from sosie.indexer.cluster.errors import ClusterError
from sosie.indexer.embedding import Tokenize
from sosie.indexer.faults import describe_os_error
from sosie.indexer.filling import fill
from sosie.indexer.opening import SetupError, open_backends
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.progress import show_progress
from sosie.indexer.recipe import Recipe
from sosie.indexer.rejects import RejectsFile
from sosie.indexer.report import Report
from sosie.indexer.reporting.events import Events
from sosie.indexer.running import Outcome, Run, Settings, tell_nobody
from sosie.indexer.signals import stop_on_signals
from sosie.indexer.target.answering import Examiner
from sosie.indexer.target.collected import CollectedOpener
from sosie.indexer.target.errors import LockedError, RefusedError, StoppedError
from sosie.indexer.target.journal import Journal
from sosie.indexer.target.lock import name_boot
from sosie.indexer.target.state import TargetState, open_state, read_last_success
from sosie.indexer.target.target import Target, open_target
from sosie.indexer.tokenizing import open_tokenizer


async def run_session(settings: Settings, tell: Callable[[str], None] = tell_nobody) -> Outcome:
    """As `index_catalog`, but for what keeps a run from beginning: that is an outcome too."""
    problem, locked = "", False
    try:
        return await index_catalog(settings, tell)
    except LockedError as error:
        problem, locked = str(error), True
    except (SetupError, EngineError) as error:
        problem = str(error)
    except OSError as error:
        problem = describe_os_error(error)
    target = settings.backends.store, settings.backends.collection
    books = {
        "outcome": "locked" if locked else "failed",
        "error": problem,
        "collection": settings.backends.collection,
        "last_success": read_last_success(settings.state, *target),
    }
    return Outcome(books, error=problem, locked=locked, begun=False)


async def index_catalog(settings: Settings, tell: Callable[[str], None] = tell_nobody) -> Outcome:
    """`tell` is given each line for people that cannot wait for the end.

    Raises SetupError, LockedError, EngineError and OSError where the run cannot begin. Later faults are in the outcome.
    """
    async with AsyncExitStack() as stack:
        state = stack.enter_context(open_state(settings.state, settings.backends.store, settings.backends.collection))
        run = await _open(settings, state, stack, tell)
        _tell_what_was_left(run)
        loop = asyncio.get_running_loop()
        state.lock.watch(lambda reason: loop.call_soon_threadsafe(run.fail, reason))
        run.events.emit("started", catalog=str(settings.catalog), collection=run.target.collection.name)
        with stop_on_signals(run):
            async with show_progress(run.catalog, run.report):
                await _work(run)
        return _conclude(run)


async def _open(settings: Settings, state: TargetState, stack: AsyncExitStack, tell: Callable[[str], None]) -> Run:
    folder = PictureFolder(settings.images)
    near_duplicates = settings.cleaning.watch_pictures(folder, settings.rejects, settings.options.threads)
    catalog = CleanCatalog(settings.catalog, settings.cleaning, near_duplicates)
    events = stack.enter_context(Events(settings.reporting.events))
    encoder, store = await stack.enter_async_context(
        open_backends(settings.backends, timeout=settings.options.timeout, tell=tell)
    )
    tokenizer = _open_tokenizer(settings, encoder)
    target = await stack.enter_async_context(
        open_target(store, encoder.space, settings.target, timeout=settings.options.timeout)
    )
    pool = stack.enter_context(ThreadPoolExecutor(settings.options.threads, thread_name_prefix="decode"))
    report = Report(stack.enter_context(RejectsFile(settings.rejects)), events=events)
    recipe = Recipe.of(encoder, with_words=settings.options.with_words)
    journal = stack.enter_context(Journal(state.folder / "journal", _name_terms(settings, target, recipe)))
    rows = await target.store.count(timeout=settings.options.timeout)  # also so that all before is seen from here on
    if journal.rows > rows:  # an older state of the store was restored
        journal.clear()
    return Run(settings, state, catalog, folder, encoder, tokenizer, target, report, events, pool, journal, tell)


def _name_terms(settings: Settings, target: Target, recipe: Recipe) -> dict[str, str]:
    """All but the catalog's lines and pictures that rows depend on, and whether they are still there."""
    return {
        "collection": target.collection.identity,
        "recipe": repr(recipe),
        "images": str(settings.images.resolve()),
        "cleaning": settings.cleaning.digest,
        "version": version("sosie"),
        # Milvus Lite leaves what it acknowledged to the kernel: a power cut may take it.
        "boot": name_boot() if settings.backends.store.endswith(".db") else "",
    }


def _tell_what_was_left(run: Run) -> None:
    """What earlier runs that died have left, and what becomes of it."""
    if run.state.lock.taken_over:
        run.tell(run.state.lock.taken_over)
        run.events.emit("taken_over", reason=run.state.lock.taken_over)
    if run.journal.rows and not run.settings.cluster:  # workers look at all
        run.tell(f"an earlier run did not come to its end: {run.journal.rows:,} pictures that it did are not looked at")
        run.events.emit("resumed", pictures=run.journal.rows)


async def _work(run: Run) -> None:
    """The steps, one after the other, until one fails or a signal comes."""
    try:
        for step in (fill, _prune, _finish):
            await step(run)
            if run.stopping:
                return
        run.journal.remove()
    except StoppedError:
        pass  # whoever stopped it has said why
    except RefusedError as refusal:
        run.refused = True
        run.fail(str(refusal))
    except (EngineError, ClusterError) as problem:
        run.fail(str(problem))
    except OSError as problem:
        run.fail(describe_os_error(problem))


async def _prune(run: Run) -> None:
    """Deletes what the catalog no longer has. Raises RefusedError where more would go than may."""
    if not run.target.options.prune:
        return
    _refuse_many_rejects(run, "nothing was pruned")
    run.journal.clear()  # it must not tell of rows that are deleted
    run.report.sections["pruned"] = pruned = await run.target.prune(run.make_retrier())
    run.events.emit("pruned", **pruned)


async def _finish(run: Run) -> None:
    """Switches to a rebuilt collection. Raises RefusedError where it is not what was required."""
    if not run.target.options.rebuild:
        return
    settings, timeout = run.settings, run.settings.options.timeout
    _refuse_many_rejects(run, f"{run.target.collection.name} did not go live")
    run.journal.clear()  # as above
    retrier = run.make_retrier()
    examiner = Examiner(folder=run.folder, pool=run.pool, retrier=retrier, timeout=timeout)
    opener = CollectedOpener(
        backends=settings.backends,
        models=settings.models,
        encoder=run.encoder,
        with_sentences=any(question.text for question in settings.target.questions),
        timeout=timeout,
    )
    books = run.report.sections["rebuild"] = {}
    await run.target.replace_live(retrier, examiner, opener, books)
    run.report.index_pending = False  # or it had not gone live
    run.events.emit("rebuilt", **books)


def _refuse_many_rejects(run: Run, consequence: str) -> None:
    if run.has_too_many_rejects:
        counts = f"{run.report.rejected:,} of {run.report.offered:,} rejected"
        raise RefusedError(f"{counts}, more than --max-rejects {run.settings.max_rejects}: {consequence}")


def _conclude(run: Run) -> Outcome:
    stopped_by = run.signals[0] if run.signals else None
    run.report.sections.setdefault("cleaning", run.catalog.books)
    outcome = "stopped" if stopped_by else "refused" if run.refused else "failed" if run.error else "done"
    if outcome == "done" and not run.has_too_many_rejects:
        run.state.last_success = time.time()
    books = {
        "outcome": outcome,
        "error": run.error,
        "space": run.encoder.space.name,
        "collection": run.settings.backends.collection,
        "last_success": run.state.last_success,
        **run.report.as_dict(),
    }
    run.events.emit("ended", **books)
    return Outcome(
        report=books,
        rejected=run.report.rejected,
        offered=run.report.offered,
        error=run.error,
        refused=run.refused,
        stopped_by=stopped_by,
        too_many_rejects=run.has_too_many_rejects,
    )


def _open_tokenizer(settings: Settings, encoder: Encoder) -> Tokenize:
    return open_tokenizer(settings.models, encoder, with_words=settings.options.with_words)
