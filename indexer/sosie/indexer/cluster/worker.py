"""A worker: the local job on one node, over partitions of the catalog. Knows nothing of who calls it."""

import asyncio
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from sosie.engine.errors import EngineError
from sosie.engine.inference import Encoder
from sosie.engine.store import VectorStore
from sosie.indexer.cleaning.clean_catalog import CleanCatalog, CleaningOptions
from sosie.indexer.cluster.books import Books, PartitionReport
from sosie.indexer.embedding import Tokenize
from sosie.indexer.entry import Place
from sosie.indexer.faults import describe_os_error
from sosie.indexer.job import Job, JobOptions
from sosie.indexer.opening import Backends, SetupError, open_backends
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.reading.files import Partition
from sosie.indexer.reading.repeats import Settled
from sosie.indexer.rejects import Repeat
from sosie.indexer.tokenizing import open_tokenizer


@dataclass(frozen=True)
class Work:
    """What every worker is told. The paths must mean the same on each node.

    `backends` names the embedding space; `collection` is the own name of the collection to fill, which is there.
    """

    catalog: Path
    images: Path
    models: Path
    backends: Backends
    collection: str
    options: JobOptions
    cleaning: CleaningOptions


@dataclass(frozen=True)
class _Opened:
    """What one partition after the other is worked with."""

    folder: PictureFolder
    encoder: Encoder
    tokenizer: Tokenize
    store: VectorStore
    pool: ThreadPoolExecutor


class Worker:
    """Does partitions, one at a time. All methods are called in one event loop."""

    def __init__(self, work: Work) -> None:
        # Each node settles nothing: the run does it once, when all partitions are written.
        self._work = replace(work, options=replace(work.options, settle=False))
        self._stack = AsyncExitStack()
        self._opened: _Opened | None = None
        self._stopped = False
        self._job: Job | None = None
        self._catalog: CleanCatalog | None = None
        self._report = PartitionReport()

    async def open(self) -> str:
        """Opens what the job stands on. Answers with the line that says why it cannot, empty where all is well."""
        work = self._work
        try:
            folder = await asyncio.to_thread(PictureFolder, work.images)
            opening = open_backends(work.backends, timeout=work.options.timeout)
            encoder, store = await self._stack.enter_async_context(opening)
            tokenizer = open_tokenizer(work.models, encoder, with_words=work.options.with_words)
        except (SetupError, EngineError, OSError) as error:
            return _describe(error)
        pool = self._stack.enter_context(ThreadPoolExecutor(work.options.threads, thread_name_prefix="decode"))
        self._opened = _Opened(folder, encoder, tokenizer, store.at(work.collection), pool)
        return ""

    async def index(self, partition: Partition, repeats: Mapping[Place, Repeat]) -> Books:
        """Brings a partition's pictures into the collection, but for the lines that `repeats` says do not count.

        After `stop` the books are those of what was done by then.
        """
        if self._opened is None:
            raise RuntimeError("a worker is asked to index before it was opened")
        self._report, self._catalog, self._job = PartitionReport(), None, None
        error = ""
        try:
            self._catalog = CleanCatalog(
                self._work.catalog, self._work.cleaning, merger=Settled(repeats), partition=partition
            )
            self._job = Job(
                catalog=self._catalog,
                folder=self._opened.folder,
                encoder=self._opened.encoder,
                tokenizer=self._opened.tokenizer,
                store=self._opened.store,
                report=self._report,
                pool=self._opened.pool,
                options=self._work.options,
            )
            if self._stopped:
                self._job.stop()
            await self._job.run()
        except (EngineError, OSError) as problem:
            error = _describe(problem)
        return self._report.close(self._bytes_read(), self._catalog.books if self._catalog else {}, error)

    async def look(self) -> Books:
        """The numbers of the partition that is under way."""
        return self._report.count(self._bytes_read())

    async def stop(self) -> None:
        """Takes up nothing new; what is embedded is still written."""
        self._stopped = True
        if self._job:
            self._job.stop()

    async def close(self) -> None:
        await self._stack.aclose()

    def _bytes_read(self) -> int:
        return self._catalog.bytes_read if self._catalog else 0


def _describe(error: Exception) -> str:
    """The fault on one line, with the node's name: what one node lacks another may have."""
    line = describe_os_error(error) if isinstance(error, OSError) else " ".join(str(error).split())
    return f"node {socket.gethostname()}: {line}"
