"""Pictures that look the same to the encoder are encoded once, however many products show them.

Three places know of them, each bounded: what is being encoded now, the vectors of the last few hundred, and a table on
disk that outlives the run. The table names the row that holds the vector; what it says is checked against the index, so
it may be old, or deleted at any time.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from sosie.engine.space import Vector
from sosie.engine.store import VectorStore
from sosie.indexer.recipe import same_picture
from sosie.indexer.retries import Retrier

MAX_RECENT = 512
"""Vectors that are kept in memory: more than are on their way to the index at a time."""

MAX_ROWS = 20_000_000
"""Of the table, some 100 bytes each; what comes after is encoded anew where it comes again."""

_TOGETHER = 500  # SQLite takes more values in one statement, but not everywhere


def pixel_digest(pixels: npt.NDArray[np.uint8]) -> bytes:
    """16 bytes of a BLAKE2 hash over a picture as an encoder reads it."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()


class TwinTable:
    """Pixel digests, and by each the key and the content digest of a row with that picture. Safe to use from threads.

    It is a cache: a file that is damaged is replaced, and where the disk fails it forgets.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Raises OSError where there is no folder for the file."""
        try:
            self._database = self._open()
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            with contextlib.suppress(sqlite3.Error):
                self._database = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()

    def find(self, digests: Sequence[bytes]) -> dict[bytes, tuple[str, str]]:
        """Key and content digest of the rows that are known, by pixel digest."""
        found: dict[bytes, tuple[str, str]] = {}
        with self._lock:
            if self._database is None:
                return found
            try:
                for start in range(0, len(digests), _TOGETHER):
                    some = digests[start : start + _TOGETHER]
                    places = ",".join("?" * len(some))
                    query = f"SELECT digest, key, content FROM twins WHERE digest IN ({places})"  # noqa: S608 -- "?"s
                    found |= {digest: (key, content) for digest, key, content in self._database.execute(query, some)}
            except sqlite3.Error:
                self._forget()
        return found

    def add(self, rows: Sequence[tuple[bytes, str, str]]) -> None:
        """Notes (pixel digest, key, content digest), each in the place of what was known of that digest."""
        with self._lock:
            if self._database is None or not rows:
                return
            try:
                (last,) = self._database.execute("SELECT coalesce(max(rowid), 0) FROM twins").fetchone()
                if last < MAX_ROWS:
                    with self._database:
                        self._database.executemany("INSERT OR REPLACE INTO twins VALUES (?, ?, ?)", rows)
            except sqlite3.Error:
                self._forget()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, check_same_thread=False, timeout=5.0)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("CREATE TABLE IF NOT EXISTS twins (digest BLOB PRIMARY KEY, key TEXT, content TEXT)")
            database.execute("SELECT digest, key, content FROM twins LIMIT 1")
        except BaseException:
            database.close()
            raise
        return database

    def _forget(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None


class Twins:
    """What is known of pictures that were encoded, for one run. Used from one event loop."""

    def __init__(self, table: TwinTable | None = None, store: VectorStore | None = None) -> None:
        """`store` is the index that the table speaks of; without both, only this run's own are known."""
        self._table = table if store is not None else None
        self._store = store
        self._recent: OrderedDict[bytes, Vector] = OrderedDict()
        self._coming: dict[bytes, asyncio.Future[Vector | None]] = {}

    def claim(self, digests: Sequence[bytes]) -> tuple[list[bytes], dict[bytes, Vector], dict[bytes, "Coming"]]:
        """What the caller is to encode, what is known, and what others are encoding at the moment.

        Whoever claims must `settle` each of the first, also where it failed.
        """
        mine: list[bytes] = []
        known: dict[bytes, Vector] = {}
        coming: dict[bytes, Coming] = {}
        for digest in dict.fromkeys(digests):
            if digest in self._recent:
                self._recent.move_to_end(digest)
                known[digest] = self._recent[digest]
            elif digest in self._coming:
                coming[digest] = self._coming[digest]
            else:
                self._coming[digest] = asyncio.get_running_loop().create_future()
                mine.append(digest)
        return mine, known, coming

    def settle(self, digest: bytes, vector: Vector | None) -> None:
        """Gives those that wait for it the vector; None where there is none to be had: they encode it themselves."""
        future = self._coming.pop(digest, None)
        if future is not None and not future.done():
            future.set_result(vector)
        if vector is not None:
            self._recent[digest] = vector
            while len(self._recent) > MAX_RECENT:
                self._recent.popitem(last=False)

    async def find_indexed(self, digests: Sequence[bytes], *, retrier: Retrier, timeout: float) -> dict[bytes, Vector]:
        """The vectors of rows of the index that hold the same pictures. Raises the store's errors."""
        store = self._store
        if self._table is None or store is None or not digests:
            return {}
        rows = await asyncio.to_thread(self._table.find, digests)
        if not rows:
            return {}
        keys = [key for key, _ in rows.values()]
        present = await retrier.call(lambda: store.digests(keys, timeout=timeout))
        vectors = await retrier.call(lambda: store.fetch(keys, timeout=timeout))
        return {
            digest: vectors[key]
            for digest, (key, content) in rows.items()
            if key in vectors and key in present and same_picture(present[key].content, content)
        }

    async def remember(self, rows: Mapping[bytes, tuple[str, str]]) -> None:
        """Notes key and content digest of the rows that are going to be written, by pixel digest."""
        if self._table is not None:
            await asyncio.to_thread(self._table.add, [(digest, *row) for digest, row in rows.items()])


Coming = asyncio.Future[Vector | None]
"""The vector of a picture that is being encoded; None where that fails."""
