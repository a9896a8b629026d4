"""The run over a cluster: one worker a node, each given one partition after the other.

A worker is a Ray actor. Where one is lost, alone or with its node, its partition goes to the next that is free, and a
new worker is asked for. Rows have keys of their own, so what was written before is found, or written over, and never
there twice.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sosie.indexer.catalog import Catalog
from sosie.indexer.cluster.books import Books
from sosie.indexer.cluster.connection import connect, list_nodes, restore_signals
from sosie.indexer.cluster.errors import ClusterError
from sosie.indexer.cluster.options import ClusterOptions
from sosie.indexer.cluster.survey import SurveyedCatalog
from sosie.indexer.cluster.tally import Tally
from sosie.indexer.cluster.worker import Work, Worker
from sosie.indexer.entry import Entry, Place
from sosie.indexer.reading.files import Partition
from sosie.indexer.rejects import Reject, Repeat
from sosie.indexer.report import Report

PARTITION_BYTES = 4 * 2**20
"""Of the catalog, as it is packed: some thousand products, so that minutes of work are lost with a node, not hours."""

MAX_LOSSES = 3
"""Of one partition: one that takes its worker down each time would go round for ever."""

_MAX_STARTS = 3  # of a worker that dies before it has opened what it needs
_LOOK = 1.0  # seconds between two looks at a partition under way
_START = 300.0  # seconds for the first worker to be placed and opened
_ENDING = 30.0  # seconds for workers to close what they opened


class Fleet:
    """One run over one catalog, as a Job is. `report` keeps its books."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        watch: Callable[[Iterable[Entry | Reject]], Iterable[Entry | Reject]],
        work: Work,
        options: ClusterOptions,
        report: Report,
        tell: Callable[[str], None],
    ) -> None:
        """`watch` is given all the catalog's lines, by their names, before the work begins; `tell` lines for people."""
        self._catalog = catalog
        self._watch = watch
        self._work = work
        self._options = options
        self._report = report
        self._tell = tell
        self._tally = Tally(report, catalog)
        self._queue: asyncio.Queue[Partition] = asyncio.Queue()
        self._unfinished = 0
        self._finished = asyncio.Event()
        self._losses: Counter[Partition] = Counter()
        self._actor: Any = ray.remote(Worker)
        self._workers: dict[int, Any] = {}
        self._repeats: Any = None  # a reference to them in Ray's object store
        self._stopping = False
        self._error: str | None = None

    async def run(self) -> None:
        """Goes through the catalog, or until `stop`: what has been embedded by then is still written.

        The collection must be there; its index is not waited for. Raises ClusterError where there is no cluster, or a
        worker failed for good, and OSError where the catalog or the rejects file failed here.
        """
        with ExitStack() as stack:
            try:
                await asyncio.to_thread(stack.enter_context, connect(self._options.address))
                restore_signals()
                await self._index(list_nodes())
            finally:
                await asyncio.to_thread(stack.close)
        if self._error:
            raise ClusterError(self._error)

    def stop(self) -> None:
        """Takes up nothing new from now on."""
        self._stopping = True
        while not self._queue.empty():
            self._queue.get_nowait()
            self._finish_one()
        for worker in self._workers.values():
            worker.stop.remote()

    async def _index(self, nodes: Sequence[str]) -> None:
        pieces = await asyncio.to_thread(self._catalog.cut, PARTITION_BYTES)
        self._repeats = ray.put(await asyncio.to_thread(self._survey, pieces, len(nodes)))
        books = self._report.sections["cluster"] = {"nodes": len(nodes), "partitions": len(pieces), "lost": 0}
        if self._stopping or not pieces:
            return
        self._unfinished = len(pieces)
        for piece in pieces:
            self._queue.put_nowait(piece)
        count = min(self._options.workers or len(nodes), len(pieces))
        finished = asyncio.create_task(self._finished.wait())
        tasks = [asyncio.create_task(self._keep_worker(number, nodes[number % len(nodes)])) for number in range(count)]
        try:
            await asyncio.wait({finished, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished.cancel()
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            books["lost"] = self._losses.total()
            self._report.sections["cleaning"] = self._tally.cleaning
            await self._close_workers()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _survey(self, pieces: Sequence[Partition], nodes: int) -> dict[Place, Repeat]:
        """The lines that do not count. Runs in a thread."""
        names = SurveyedCatalog(
            self._work.catalog,
            pieces,
            ahead=2 * nodes,
            cleaning=self._work.cleaning,
            stopping=lambda: self._stopping,
        )
        found = self._watch(names)
        return {Place(each.file, each.line): each for each in found if isinstance(each, Repeat)}

    async def _keep_worker(self, number: int, node: str) -> None:
        """Has a worker do partitions until the task is cancelled; one that is lost is replaced."""
        strategy: Any = NodeAffinitySchedulingStrategy(node, soft=True)
        while True:
            try:
                worker = await self._start(number, strategy)
            except ClusterError as error:
                self._fail(str(error))
                await self._finished.wait()
                return
            strategy = "SPREAD"  # its node may be gone
            while number in self._workers:
                piece = await self._queue.get()
                try:
                    books = await self._follow(number, worker, piece)
                except RayActorError as error:
                    self._lose(number, piece, error)
                else:
                    self._tally.settle(number, books)
                    if books.error:
                        self._fail(books.error)
                    self._finish_one()

    async def _start(self, number: int, strategy: Any) -> Any:
        """An open worker. Waits for a node to have room while others work. Raises ClusterError."""
        for _ in range(_MAX_STARTS):
            worker = self._actor.options(num_cpus=1, scheduling_strategy=strategy).remote(self._work)
            opening = _as_future(worker.open.remote())
            while not (await asyncio.wait({opening}, timeout=_START))[0]:
                if not self._workers:
                    raise ClusterError(f"no node of the cluster took a worker within {_START:g} s: each needs one CPU")
            try:
                problem = opening.result()
            except RayActorError as error:
                reason = _last_line(error)
                continue
            if problem:
                raise ClusterError(problem)
            self._workers[number] = worker
            return worker
        raise ClusterError(f"a worker does not start, tried {_MAX_STARTS} times: {reason}")

    async def _follow(self, number: int, worker: Any, piece: Partition) -> Books:
        """The books of a partition when it is done; meanwhile the run's go on. Raises RayActorError."""
        answer = _as_future(worker.index.remote(piece, self._repeats))
        if self._stopping:
            worker.stop.remote()
        while not (await asyncio.wait({answer}, timeout=_LOOK))[0]:
            look = _as_future(worker.look.remote())
            await asyncio.wait({answer, look}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and look.exception() is None:
                self._tally.update(number, look.result())
        books: Books = answer.result()
        return books

    def _lose(self, number: int, piece: Partition, error: RayActorError) -> None:
        """The worker is lost with a partition, which goes to another."""
        ray.kill(self._workers.pop(number))
        self._tally.drop(number)
        self._losses[piece] += 1
        where = f"{piece.file.name} from line {piece.first_line:,}"
        if self._losses[piece] > MAX_LOSSES:
            self._fail(f"{where} was lost {self._losses[piece]} times with its worker: {_last_line(error)}")
        if self._stopping:
            self._finish_one()
            return
        self._queue.put_nowait(piece)
        self._tell(f"a worker was lost, {where} is done again: {_last_line(error)}")
        self._report.events.emit("worker_lost", file=piece.file.name, line=piece.first_line, reason=_last_line(error))

    def _finish_one(self) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self._finished.set()

    def _fail(self, error: str) -> None:
        self._error = self._error or error
        self.stop()

    async def _close_workers(self) -> None:
        closing = [_as_future(worker.close.remote()) for worker in self._workers.values()]
        self._workers.clear()  # a stop that comes later has nobody to tell
        if closing:
            done, _ = await asyncio.wait(closing, timeout=_ENDING)
            for each in done:
                each.exception()  # a worker that is lost now takes nothing with it


def _as_future(reference: Any) -> asyncio.Future[Any]:
    return asyncio.wrap_future(reference.future())


def _last_line(error: Exception) -> str:
    """What Ray says in many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
