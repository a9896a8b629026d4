"""Rows into the store: the job's only writer."""

import time
from collections.abc import Sequence
from functools import partial

from sosie.engine.store import Row, VectorStore
from sosie.indexer.retries import Retrier

MAX_ROWS = 256
"""In one upsert: with vectors of some 700 numbers and payloads at their bound this stays below gRPC's 64 MiB."""

_PAUSE = 0.5  # seconds between two looks at whether the index is there


class Writer:
    """Upserts rows. One call at a time: Milvus Lite takes one writer."""

    def __init__(self, *, store: VectorStore, retrier: Retrier, timeout: float) -> None:
        self._store = store
        self._retrier = retrier
        self._timeout = timeout
        self._wrote = False

    async def write(self, rows: Sequence[Row]) -> None:
        """They are durable when this returns. Of rows with the same key the last one counts.

        Raises the store's errors once retries do not help; an upsert that is tried again writes nothing twice.
        """
        self._wrote = True
        distinct = list({row.key: row for row in rows}.values())
        for start in range(0, len(distinct), MAX_ROWS):
            piece = distinct[start : start + MAX_ROWS]
            await self._retrier.call(partial(self._store.upsert, piece, timeout=self._timeout))

    async def settle(self, *, resumed: bool = False) -> bool:
        """Makes all that was written as quick to search as it will be, and as well: waits for the store's index.

        `resumed` says that a run which died before this one wrote too.

        False where that is not done within the timeout of one request, or the job is stopped: the store goes on with
        it. Raises as `write` does.
        """
        await self._retrier.call(partial(self._store.flush, timeout=self._timeout))
        end = time.monotonic() + self._timeout
        while self._wrote or resumed:
            if await self._retrier.call(partial(self._store.is_settled, timeout=self._timeout)):
                break
            if time.monotonic() > end or await self._retrier.stops_within(_PAUSE):
                return False
        return True
