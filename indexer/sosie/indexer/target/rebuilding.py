"""`--rebuild`: a collection that is filled beside the live one, judged, and put in its place.

1. `begin_rebuild` makes the collection, or finds the one that an earlier rebuild in the same space left half built.
2. The run fills it as it would fill any: what a killed rebuild wrote is found unchanged.
3. `Rebuild.judge` looks at what questions would lose by the switch, and measures what `--require` may ask for.
4. `Rebuild.switch` points the alias at it; the one that was live stays, for a rollback.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from sosie.engine.errors import NoIndexError
from sosie.engine.generations import Collection, GenerationStore, Layout, State
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import Filter, VectorStore
from sosie.indexer.retries import Retrier
from sosie.indexer.target.comparing import Comparer, Side
from sosie.indexer.target.errors import RefusedError
from sosie.indexer.target.listed import Listed
from sosie.indexer.target.losses import Loss, check_going_on, check_losses, describe_losses, read_pages
from sosie.v1 import product_pb2

_SETTLING = 1800.0  # seconds for the index of a whole collection
_PAUSE = 0.5  # between two looks at it
_PAYLOADS = 256  # at once: of the greatest ones they are 13 MB


@dataclass(frozen=True)
class Judgement:
    """What a switch would bring. `losses` are rows of the live collection that the new one lacks, by shop.

    `stray` are those of shops that neither the catalog has nor the run was told of.
    """

    metrics: Mapping[str, float]
    losses: Sequence[Loss]
    stray: Sequence[Loss]

    def check(self, max_percent: float) -> None:
        """Raises RefusedError where the switch would lose more than is allowed."""
        if self.stray:
            raise RefusedError(
                f"the live collection has {describe_losses(self.stray)}, of which the catalog says nothing: index all "
                "shops together, or name those that are no more by --prune-shop"
            )
        check_losses(self.losses, max_percent)


class Rebuild:
    """A `collection` that is filled beside the `live` one; `resumed` where an earlier run began it."""

    def __init__(
        self, store: GenerationStore, collection: Collection, live: Collection | None, *, resumed: bool
    ) -> None:
        self.collection = collection
        self.live = live
        self.resumed = resumed
        self._store = store

    @property
    def new_store(self) -> VectorStore:
        return self._store.at(self.collection.name)

    @property
    def live_store(self) -> VectorStore | None:
        return self._store.at(self.live.name) if self.live else None

    async def clear(self, listed: Listed, retrier: Retrier, *, timeout: float) -> int:
        """Deletes what the catalog listed when an earlier run began the collection, and no longer does. Counts it."""
        if not self.resumed:
            return 0
        store, deleted = self.new_store, 0
        async for page in read_pages(store, Filter(), retrier, timeout=timeout):
            keys = listed.find_missing(page)
            if keys:
                await retrier.call(partial(store.delete, keys, timeout=timeout))
            deleted += len(keys)
        return deleted

    async def settle(self, retrier: Retrier, *, timeout: float) -> None:
        """Waits until the new collection searches by its whole index.

        Raises RefusedError after half an hour, and StoppedError.
        """
        await retrier.call(partial(self.new_store.flush, timeout=timeout))
        end = time.monotonic() + _SETTLING
        while not await retrier.call(partial(self.new_store.is_settled, timeout=timeout)):
            if time.monotonic() > end:
                raise RefusedError("Milvus still builds its index")
            await retrier.stops_within(_PAUSE)
            check_going_on(retrier)
        await retrier.call(partial(self.new_store.probe, timeout=timeout))

    async def judge(self, listed: Listed, left: Sequence[str], retrier: Retrier, *, timeout: float) -> Judgement:
        """Compares the new collection with the live one; without one nothing can be lost.

        Metrics: rows, as a multiple of the live collection's; kept, the share of its rows that the new one has too; and
        those of `Comparer`. Raises the store's errors once retries do not help.
        """
        live = self.live_store
        if live is None or self.live is None:
            return Judgement({}, [], [])
        before = await retrier.call(partial(live.count, timeout=timeout))
        after = await retrier.call(partial(self.new_store.count, timeout=timeout))
        gone = await self._count_gone(live, retrier, timeout)
        present = set(listed.shops())
        losses: list[Loss] = []
        stray: list[Loss] = []
        for shop, count in sorted(gone.items()):
            rows = await retrier.call(partial(live.count, filter=Filter(shops=(shop,)), timeout=timeout))
            loss = Loss(shop, rows, count, left=shop in left and shop not in present)
            (losses if loss.left or shop in present else stray).append(loss)
        metrics = {"rows": after / before, "kept": 1 - gone.total() / before} if before else {}
        comparer = Comparer(
            Side(live, self.live.space), Side(self.new_store, self.collection.space), retrier, timeout=timeout
        )
        return Judgement({**metrics, **await comparer.compare_neighbours()}, losses, stray)

    async def switch(self, *, timeout: float) -> None:
        """Makes the new collection the live one, in one step for whoever asks; may be called again."""
        await self._store.switch(self.collection.name, timeout=timeout)

    async def find_orphans(self, *, timeout: float) -> list[str]:
        """Collections of this alias that nothing uses any more."""
        generations = await self._store.generations(timeout=timeout)
        return [each.collection.name for each in generations if each.state is State.ORPHAN]

    def as_dict(self) -> dict[str, Any]:
        return {
            "collection": self.collection.name,
            "replaces": self.live.name if self.live else None,
            "resumed": self.resumed,
        }

    async def _count_gone(self, live: VectorStore, retrier: Retrier, timeout: float) -> Counter[str]:
        """By shop, how many of the live collection's rows the new one lacks."""
        gone: Counter[str] = Counter()
        async for page in read_pages(live, Filter(), retrier, timeout=timeout):
            keys = [row.key for row in page]
            there = await retrier.call(partial(self.new_store.digests, keys, timeout=timeout))
            lost = [key for key in keys if key not in there]
            for start in range(0, len(lost), _PAYLOADS):
                some = lost[start : start + _PAYLOADS]
                payloads = await retrier.call(partial(live.payloads, some, timeout=timeout))
                gone.update(_read_shop(payload) for payload in payloads.values())
        return gone


async def begin_rebuild(store: GenerationStore, space: EmbeddingSpace, *, layout: Layout, timeout: float) -> Rebuild:
    """The collection to fill: the half-built one where there is one in this space, else a new one of that layout.

    Raises the store's errors.
    """
    try:
        live: Collection | None = await store.live(timeout=timeout)
    except NoIndexError:
        live = None
    for generation in await store.generations(timeout=timeout):
        if generation.state is State.BUILDING and generation.collection.space.name == space.name:
            return Rebuild(store, generation.collection, live, resumed=True)
    rows = layout.rows or (await store.count(timeout=timeout) if live else 0)
    collection = await store.begin(space, layout=replace(layout, rows=rows), timeout=timeout)
    return Rebuild(store, collection, live, resumed=False)


def _read_shop(payload: bytes) -> str:
    try:
        return product_pb2.Product.FromString(payload).shop
    except DecodeError:  # not a row of ours
        return ""
