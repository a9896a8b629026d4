"""A rebuilt collection beside the live one: how many rows both have, and whether neighbours stayed neighbours."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sosie.engine.space import EmbeddingSpace, Vector, build_query
from sosie.engine.store import Filter, VectorStore
from sosie.indexer.retries import Retrier
from sosie.indexer.target.answering import TOP, find_products
from sosie.indexer.target.losses import check_going_on, read_pages

SAMPLE = 400
"""Pictures whose neighbours are compared: the standard error of a share is then at most 0.025."""

_TOGETHER = 16  # searches at once


@dataclass(frozen=True)
class Side:
    """A collection, and the space of what it holds."""

    store: VectorStore
    space: EmbeddingSpace


class Comparer:
    """Asks both collections the same, each in its own space."""

    def __init__(self, live: Side, new: Side, retrier: Retrier, *, timeout: float) -> None:
        self._live = live
        self._new = new
        self._retrier = retrier
        self._timeout = timeout

    async def compare_neighbours(self, sample: int = SAMPLE) -> Mapping[str, float]:
        """Compares the products that pictures find which both have. Means over the sample, 0..1.

        - overlap@10: the share of what they find in the live collection, their own product left out, that they find in
          the new one too, among the first ten of each;
        - self@10: the share of pictures whose own product is among the first ten that they find in the new one.

        A metric is missing where there was nothing to measure. Raises the store's errors once retries do not help.
        """
        keys = await self._draw(sample)
        overlaps: list[float] = []
        found_self: list[bool] = []
        for start in range(0, len(keys), _TOGETHER):
            check_going_on(self._retrier)
            some = dict(keys[start : start + _TOGETHER])
            before, after = await asyncio.gather(self._ask(self._live, some), self._ask(self._new, some))
            for key, own in some.items():
                if key not in before or key not in after:  # deleted meanwhile
                    continue
                found_self.append(own in after[key][:TOP])
                neighbours = _without(before[key], own)
                if neighbours:
                    overlaps.append(len(neighbours & _without(after[key], own)) / len(neighbours))
        metrics = {}
        if overlaps:
            metrics["overlap@10"] = float(np.mean(overlaps))
        if found_self:
            metrics["self@10"] = float(np.mean(found_self))
        return metrics

    async def _draw(self, sample: int) -> list[tuple[str, str]]:
        """Keys of rows that both have, with their products': the first ones, which are as good as drawn, being hashes.

        So two runs compare the same pictures.
        """
        drawn: list[tuple[str, str]] = []
        async for page in read_pages(self._live.store, Filter(), self._retrier, timeout=self._timeout):
            keys = [row.key for row in page]
            shared = await self._retrier.call(partial(self._new.store.digests, keys, timeout=self._timeout))
            drawn += [(row.key, row.product_key) for row in page if row.key in shared]
            if len(drawn) >= sample:
                break
        return drawn[:sample]

    async def _ask(self, side: Side, keys: Mapping[str, str]) -> dict[str, list[str]]:
        """The nearest products of each of these pictures that is there."""
        vectors = await self._retrier.call(lambda: side.store.fetch(list(keys), timeout=self._timeout))
        answers = await asyncio.gather(*(self._find(side, vector) for vector in vectors.values()))
        return dict(zip(vectors, answers, strict=True))

    async def _find(self, side: Side, vector: Vector) -> list[str]:
        query = build_query(side.space, image=side.space.split(vector))
        return await find_products(side.store, query, self._retrier, timeout=self._timeout, top=TOP + 1)


def _without(products: Sequence[str], own: str) -> set[str]:
    """The first ten but one."""
    return set([product for product in products if product != own][:TOP])
