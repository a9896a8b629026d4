"""From a query to hits: plain functions over the protocols."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sosie.engine.space import Query
from sosie.engine.store import MAX_ROWS, Filter, Match, VectorStore
from sosie.engine.timing import StepTimes

MAX_TOP_K = 100
_OVERFETCH = 4  # rows asked for a product wanted; grows by the same factor while products are missing
_MAX_PICTURES = 64  # a product's pictures, by the contract


@dataclass(frozen=True)
class ScoredPicture:
    """A picture with its score, 0..1; `payload` is what the index keeps for the application."""

    key: str
    product_key: str
    score: float
    payload: bytes
    position: int


@dataclass(frozen=True)
class Hit:
    """What a search found: a product by its pictures, the best first; or one picture where hits are not grouped.

    `shares` is {part: (share of the score, cosine)} of the best picture, empty unless it was asked for.
    """

    pictures: tuple[ScoredPicture, ...]
    shares: dict[str, tuple[float, float]]

    @property
    def best(self) -> ScoredPicture:
        return self.pictures[0]


@dataclass(frozen=True)
class Wanted:
    """How to search: `top_k` hits (1..100) that score at least `min_score` (0..1) and pass `filter`."""

    top_k: int = 10
    min_score: float = 0.0
    filter: Filter = field(default_factory=Filter)
    group_by_product: bool = True
    explain: bool = False


async def find(store: VectorStore, query: Query, wanted: Wanted, *, timeout: float, steps: StepTimes) -> list[Hit]:
    """The best hits, the best first; ties by key, so that the same question gets the same answer.

    What has nothing in common with the question (a score of 0) is no hit. `timeout` is in seconds for all of it.
    Raises what the store raises.
    """
    deadline = time.monotonic() + timeout
    if wanted.group_by_product:
        groups = await _find_products(store, query, wanted, deadline, steps)
    else:
        with steps.measure("search"):
            matches = await store.search(query.vector, limit=wanted.top_k, filter=wanted.filter, timeout=timeout)
        groups = [(picture,) for picture in _score(matches, query, wanted.min_score)]
    shares: dict[str, dict[str, tuple[float, float]]] = {}
    if wanted.explain and groups:
        with steps.measure("search"):
            rows = await store.fetch([group[0].key for group in groups], timeout=deadline - time.monotonic())
        shares = {key: query.shares(row) for key, row in rows.items()}
    return [Hit(group, shares.get(group[0].key, {})) for group in groups]


async def _find_products(
    store: VectorStore, query: Query, wanted: Wanted, deadline: float, steps: StepTimes
) -> list[tuple[ScoredPicture, ...]]:
    """Fetches ever more rows until they hold enough products or nothing is left, then the products' other pictures."""
    limit = wanted.top_k * _OVERFETCH
    while True:
        with steps.measure("search"):
            matches = await store.search(
                query.vector, limit=limit, filter=wanted.filter, timeout=deadline - time.monotonic()
            )
        with steps.measure("group"):
            pictures = _score(matches, query, wanted.min_score)
            groups = _group(pictures)
        complete = len(matches) < limit or len(pictures) < len(matches)
        if complete:
            return groups[: wanted.top_k]
        if len(groups) >= wanted.top_k or limit >= MAX_ROWS:
            break
        limit = min(limit * _OVERFETCH, MAX_ROWS)

    groups = groups[: wanted.top_k]
    chosen = replace(wanted.filter, product_keys=tuple(group[0].product_key for group in groups))
    with steps.measure("search"):
        matches = await store.search(
            query.vector, limit=len(groups) * _MAX_PICTURES, filter=chosen, timeout=deadline - time.monotonic()
        )
    with steps.measure("group"):
        return _group(_score(matches, query, wanted.min_score))


def _score(matches: Sequence[Match], query: Query, min_score: float) -> list[ScoredPicture]:
    """Matches as scored pictures, the best first, without those that score 0 or below `min_score`."""
    total = query.total
    scored = [
        ScoredPicture(m.key, m.product_key, min(1.0, m.dot / total), m.payload, m.position)
        for m in matches
        if m.dot > 0 and m.dot / total >= min_score
    ]
    return sorted(scored, key=lambda picture: (-picture.score, picture.key))


def _group(pictures: Sequence[ScoredPicture]) -> list[tuple[ScoredPicture, ...]]:
    """Pictures by product, in the order of each product's best."""
    groups: dict[str, list[ScoredPicture]] = {}
    for picture in pictures:
        groups.setdefault(picture.product_key, []).append(picture)
    return [tuple(group) for group in groups.values()]
