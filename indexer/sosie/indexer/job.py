"""The job: catalog, plan, embedding and writing, connected by bounded queues.

    read ──> plan ──> embed (several side by side) ──> write
                └───────── rewrites ────────────────────┘

Each arrow is a queue that makes its source wait when it is full, so the memory that is used does not grow with the
catalog: the slowest step sets the pace of all.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from sosie.engine.errors import EngineError
from sosie.engine.inference import Encoder
from sosie.engine.store import Row, VectorStore
from sosie.indexer.embedding import Embedder, Tokenize
from sosie.indexer.encoding.twins import Twins, TwinTable
from sosie.indexer.entry import Entry
from sosie.indexer.listing import Listing, list_pictures
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.plan import Planner, Task
from sosie.indexer.recipe import Recipe
from sosie.indexer.rejects import Reject
from sosie.indexer.report import Report
from sosie.indexer.retries import Backoff, Retrier
from sosie.indexer.target.ledger import Ledger
from sosie.indexer.writing import MAX_ROWS, Writer

CHUNK = 256
"""Pictures that are read, and compared with the index, at once."""

_MAX_LINES = 1024  # of a chunk: rejected lines list no pictures, and must not pile up


@dataclass(frozen=True)
class _Made:
    """A row to write; `encoded` says whether this run made its vector, or the index had it."""

    row: Row
    encoded: bool


@dataclass
class _Chunk:
    """What some lines of the catalog came to; `last` where there are no more."""

    listings: list[Listing] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    products: int = 0
    last: bool = False


_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
_Queue: TypeAlias = asyncio.Queue[list[_Item] | None]
"""Batches; None is the end."""


@dataclass(frozen=True)
class JobOptions:
    """How the job goes about it. `timeout` is in seconds, for each request to Triton and to Milvus.

    At most `in_flight` batches are decoded and encoded side by side. `twins` is the file that keeps which pictures look
    the same.
    """

    batch: int = 32
    in_flight: int = 8
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    timeout: float = 60.0
    with_words: bool = True
    backoff: Backoff = field(default_factory=Backoff)
    twins: Path | None = None
    settle: bool = True
    """Whether the job ends by waiting for the store's index; where it does a part of a run only, the run does."""


class Job:
    """One run over one catalog. `report` keeps its books."""

    def __init__(
        self,
        *,
        catalog: Iterable[Entry | Reject],
        folder: PictureFolder,
        encoder: Encoder,
        tokenizer: Tokenize,
        store: VectorStore,
        report: Report,
        pool: Executor,
        options: JobOptions,
        ledger: Ledger | None = None,
    ) -> None:
        """`ledger` tells what an earlier run did already, and is told what this one does."""
        self._catalog = catalog
        self._ledger = ledger or Ledger(None, folder, pool)
        self._report = report
        self._options = options
        self._stopping = asyncio.Event()
        self._error: EngineError | OSError | None = None
        retrier = Retrier(options.backoff, self._stopping, report.note_retry)
        recipe = Recipe.of(encoder, with_words=options.with_words)
        timeout = options.timeout
        self._planner = Planner(store=store, folder=folder, recipe=recipe, pool=pool, retrier=retrier, timeout=timeout)
        self._twins = TwinTable(options.twins) if options.twins else None
        self._embedder = Embedder(
            encoder=encoder,
            tokenizer=tokenizer,
            folder=folder,
            recipe=recipe,
            pool=pool,
            retrier=retrier,
            report=report,
            timeout=timeout,
            twins=Twins(self._twins, store),
        )
        self._writer = Writer(store=store, retrier=retrier, timeout=timeout)

    async def run(self) -> None:
        """Goes through the catalog, or until `stop`: what has been embedded by then is still written.

        The collection must be there. Raises EngineError where Triton or Milvus failed for good, and OSError where the
        catalog or the rejects file did; all that the store acknowledged stays.
        """
        listings: _Queue[Listing] = asyncio.Queue(1)
        tasks: _Queue[Task] = asyncio.Queue(self._options.in_flight)
        rows: _Queue[_Made] = asyncio.Queue(self._options.in_flight)
        with self._twins or nullcontext():
            async with asyncio.TaskGroup() as steps:
                steps.create_task(self._read(listings))
                steps.create_task(self._plan(listings, tasks, rows))
                steps.create_task(self._embed(tasks, rows))
                steps.create_task(self._write(rows))
        if self._error:
            raise self._error

    def stop(self) -> None:
        """Takes up nothing new from now on."""
        self._stopping.set()

    async def _read(self, listings: _Queue[Listing]) -> None:
        lines = iter(self._catalog)

        async def read_chunk() -> bool:
            chunk = await asyncio.to_thread(_take_chunk, lines)
            for reject in chunk.rejects:
                self._report.reject_line(reject)
            self._report.products += chunk.products
            self._report.pictures += len(chunk.listings)
            if chunk.listings:
                await listings.put(chunk.listings)
            return not chunk.last

        while not self._stopping.is_set() and await self._attempt(read_chunk):
            pass
        await listings.put(None)

    async def _plan(self, listings: _Queue[Listing], tasks: _Queue[Task], rows: _Queue[_Made]) -> None:
        batch: list[Task] = []

        async def plan_chunk(chunk: list[Listing]) -> None:
            with self._report.times.measure("check"):
                digest = await self._ledger.digest(chunk)
                if self._ledger.is_done(digest):
                    self._report.unchanged += len(chunk)
                    self._report.resumed += len(chunk)
                    return
                plan = await self._planner.plan(chunk)
            keys = [row.key for row in plan.rewrites] + [task.listing.key for task in plan.tasks]
            await self._ledger.begin(digest, len(chunk), keys, rejected=len(plan.rejects))
            self._report.unchanged += len(plan.unchanged)
            for reject in plan.rejects:
                self._report.reject_picture(reject)
            if plan.rewrites:
                await rows.put([_Made(row, encoded=False) for row in plan.rewrites])
            batch.extend(plan.tasks)
            while len(batch) >= self._options.batch:
                await tasks.put(batch[: self._options.batch])
                del batch[: self._options.batch]

        async for chunk in _drain(listings):
            if not self._stopping.is_set():
                await self._attempt(partial(plan_chunk, chunk))
        if batch:
            await tasks.put(batch)
        for _ in range(self._options.in_flight):
            await tasks.put(None)

    async def _embed(self, tasks: _Queue[Task], rows: _Queue[_Made]) -> None:
        async def embed_batch(batch: list[Task]) -> None:
            done, rejects = await self._embedder.embed(batch)
            for reject in rejects:
                self._report.reject_picture(reject)
            self._ledger.spoil({task.listing.key for task in batch} - {row.key for row in done})
            await rows.put([_Made(row, encoded=True) for row in done])

        async def embed_batches() -> None:
            async for batch in _drain(tasks):
                if not self._stopping.is_set():
                    await self._attempt(partial(embed_batch, batch))

        async with asyncio.TaskGroup() as workers:
            for _ in range(self._options.in_flight):
                workers.create_task(embed_batches())
        await rows.put(None)

    async def _write(self, rows: _Queue[_Made]) -> None:
        async def write_rows(made: list[_Made]) -> bool:
            with self._report.times.measure("write"):
                await self._writer.write([each.row for each in made])
                await self._ledger.acknowledge([each.row.key for each in made])
            encoded = sum(each.encoded for each in made)
            self._report.indexed += encoded
            self._report.rewritten += len(made) - encoded
            return True

        working = True
        async for made in _drain(rows, join=MAX_ROWS):
            if working:  # once it failed, the steps before it must still find room to put and end
                working = await self._attempt(partial(write_rows, made)) or False
        if working and self._options.settle:
            with self._report.times.measure("write"):
                settle = partial(self._writer.settle, resumed=self._report.resumed > 0)
                self._report.index_pending = await self._attempt(settle) is False

    async def _attempt(self, step: Callable[[], Awaitable[_Answer]]) -> _Answer | None:
        """What the step answers. Where it fails for good the whole job ends as by `stop`, and the error is kept."""
        try:
            return await step()
        except (EngineError, OSError) as error:
            self._error = self._error or error
            self.stop()
            return None


async def _drain(queue: _Queue[_Item], join: int = 0) -> AsyncIterator[list[_Item]]:
    """The queue's batches until its end; those that wait are joined while they come to fewer than `join` items."""
    batch = await queue.get()
    while batch is not None:
        following: list[_Item] | None = []
        while following is not None and len(batch) < join and not queue.empty():
            following = queue.get_nowait()
            batch = batch + (following or [])
        yield batch
        batch = await queue.get() if following is not None else None


def _take_chunk(lines: Iterator[Entry | Reject]) -> _Chunk:
    """Runs in a thread."""
    chunk = _Chunk()
    for _ in range(_MAX_LINES):
        found = next(lines, None)
        if found is None:
            chunk.last = True
            break
        listed = list_pictures(found) if isinstance(found, Entry) else found
        if isinstance(listed, Reject):
            chunk.rejects.append(listed)
            continue
        chunk.products += 1
        chunk.listings += listed
        if len(chunk.listings) >= CHUNK:
            break
    return chunk
