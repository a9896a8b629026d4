"""`--prune`: deletes the rows of pictures that the catalog no longer lists.

Only shops that the catalog has a valid product of are looked at, and those that are named as gone: a catalog of one
shop says nothing of the others.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sosie.engine.store import Filter, VectorStore
from sosie.indexer.retries import Retrier
from sosie.indexer.target.errors import RefusedError
from sosie.indexer.target.listed import Listed
from sosie.indexer.target.losses import Loss, check_losses, read_pages


@dataclass(frozen=True)
class Pruned:
    """What was deleted: by shop, those that lost something; `other` rows are of shops that were not looked at."""

    losses: Sequence[Loss] = field(default_factory=list)
    other: int = 0

    @property
    def rows(self) -> int:
        return sum(loss.gone for loss in self.losses)

    def as_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "shops": [loss.as_dict() for loss in self.losses], "other_shops_rows": self.other}


class Pruner:
    """Compares a store with what a catalog lists. `left` are shops that are no more, unless the catalog has them."""

    def __init__(
        self, *, store: VectorStore, listed: Listed, left: Sequence[str], retrier: Retrier, timeout: float
    ) -> None:
        self._store = store
        self._listed = listed
        self._left = left
        self._retrier = retrier
        self._timeout = timeout

    async def prune(self, max_percent: float) -> Pruned:
        """Counts first, and deletes only if that is allowed.

        Raises RefusedError, with nothing deleted, where a shop would lose more than `max_percent` of its rows, or the
        catalog cannot tell what it lists; StoppedError between two pages; the store's errors once retries do not help.
        """
        self._listed.check_complete()
        if self._listed.nameless:
            raise RefusedError(
                f"{self._listed.nameless:,} lines of the catalog name no product, and may have listed what would be "
                "deleted: nothing was pruned; mend these lines first"
            )
        present = self._listed.shops()
        losses = [await self._count(shop) for shop in present]
        losses += [replace(await self._count(shop), left=True) for shop in self._left if shop not in present]
        check_losses(losses, max_percent)
        total = await self._retrier.call(lambda: self._store.count(timeout=self._timeout))
        for loss in losses:
            if loss.gone:
                await self._delete(loss.shop)
        lost = [loss for loss in losses if loss.gone]
        if lost:
            await self._retrier.call(lambda: self._store.flush(timeout=self._timeout))
        return Pruned(lost, total - sum(loss.rows for loss in losses))

    async def _count(self, shop: str) -> Loss:
        rows = gone = 0
        async for seen, missing in self._compare(shop):
            rows += seen
            gone += len(missing)
        return Loss(shop, rows, gone)

    async def _delete(self, shop: str) -> None:
        async for _, missing in self._compare(shop):
            if missing:
                await self._retrier.call(partial(self._store.delete, missing, timeout=self._timeout))

    async def _compare(self, shop: str) -> AsyncIterator[tuple[int, list[str]]]:
        """Page by page, how many rows were seen, and the keys of those that the catalog does not list."""
        async for page in read_pages(self._store, Filter(shops=(shop,)), self._retrier, timeout=self._timeout):
            yield len(page), self._listed.find_missing(page)
