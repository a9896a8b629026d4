"""From a query to hits: plain functions over the protocols."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from sosie.engine.space import Query, Vector
from sosie.engine.store import MAX_ROWS, Filter, Match, VectorStore
from sosie.engine.timing import StepTimes

MAX_TOP_K = 100
_OVERFETCH = 4  # rows asked for a product wanted; grows by the same factor while products are missing
_MAX_PICTURES = 64  # a product's pictures, by the contract
_TIE = 1e-6  # of the sum of the weights: what float32 sums of the same products differ by, with the order of adding


class ScoredPicture(NamedTuple):
    """A picture with its score, 0..1, and its similarity, -1..1; `payload` is what the index keeps of it."""

    key: str
    product_key: str
    score: float
    payload: bytes
    position: int
    similarity: float


class Hit(NamedTuple):
    """What a search found: a product by its pictures, the best first; or one picture where hits are not grouped.

    `shares` is {part: (share of the similarity, cosine)} of the best picture, empty unless it was asked for.
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


class Breadth:
    """How many rows to ask for so that they hold the products wanted: learnt from the searches before.

    Keeps a moving mean of the rows a product and of their deviation from it, as TCP does of its round trips (RFC 6298).
    """

    def __init__(self) -> None:
        self._mean: float | None = None
        self._deviation = 0.0

    def rows(self, products: int) -> int:
        """One more than so many products are likely to need, to see what ties with the last; at most 4 a product."""
        most = products * _OVERFETCH
        return most if self._mean is None else min(most, math.ceil(products * (self._mean + 2 * self._deviation)) + 1)

    def learn(self, rows: int, products: int) -> None:
        """That so many rows held so many products."""
        ratio = min(rows / products, _OVERFETCH)
        if self._mean is None:
            self._mean, self._deviation = ratio, ratio / 2
        else:
            self._deviation += (abs(ratio - self._mean) - self._deviation) / 4
            self._mean += (ratio - self._mean) / 8


async def find(
    store: VectorStore,
    query: Query,
    wanted: Wanted,
    *,
    timeout: float,
    steps: StepTimes,
    breadth: Breadth | None = None,
) -> list[Hit]:
    """The best hits by inner product, the best first; ties by key, so that the same question gets the same answer.

    What has nothing in common with the question (an inner product of 0 or less) is no hit. `timeout` is in seconds for
    all of it; `breadth` learns from one search for the next, and changes no answer. Raises what the store raises.
    """
    search = _Search(store, query, wanted, time.monotonic() + timeout, steps, breadth or Breadth())
    groups = await search.find_groups()
    pictures = [tuple(search.score(group)) for group in groups]
    shares: dict[str, dict[str, tuple[float, float]]] = {}
    if wanted.explain and groups:
        rows = await search.fetch([group[0].key for group in groups])
        shares = {key: query.shares(row) for key, row in rows.items()}
    return [Hit(group, shares.get(group[0].key, {})) for group in pictures]


_Group: TypeAlias = list[Match]
"""The rows of one hit, the best first."""


@dataclass(slots=True)
class _Search:
    """One question. `deadline` is on the monotonic clock."""

    store: VectorStore
    query: Query
    wanted: Wanted
    deadline: float
    steps: StepTimes
    breadth: Breadth

    async def find_groups(self) -> list[_Group]:
        """The rows of the best `top_k` hits.

        Asks for ever more rows until that many hits are ahead of the last row, with which rows beyond it may tie, or
        until there are no more. Where Milvus gives no more than 16,384 at once, it then asks again without the products
        found; only of more rows than that which tie with each other it is Milvus that chooses.
        """
        top_k = self.wanted.top_k
        limit = self.breadth.rows(top_k) if self.wanted.group_by_product else top_k + 1
        passing = self.wanted.filter
        known: list[Match] = []
        while True:
            found = await self.ask(limit, passing)
            with self.steps.measure("group"):
                ordered = self.order([*known, *found])
                groups = self.group(ordered)
            more = len(found) >= limit and len(ordered) == len(known) + len(found)
            if not more or (len(groups) >= top_k and groups[top_k - 1][0].dot > ordered[-1].dot):
                break
            if limit < MAX_ROWS:
                limit = min(limit * _OVERFETCH, MAX_ROWS)
            elif len(groups) >= top_k:
                break
            else:
                known = ordered
                passing = replace(self.wanted.filter, other_than=tuple(group[0].product_key for group in groups))
        if not self.wanted.group_by_product:
            return groups[:top_k]
        if not more and not known:
            return groups[:top_k]
        if len(groups) >= top_k:
            self.breadth.learn(ordered.index(groups[top_k][0]) if len(groups) > top_k else len(ordered), top_k)
        return await self.complete(groups[:top_k])

    async def complete(self, groups: list[_Group]) -> list[_Group]:
        """The same products with all of their pictures: asks for those that have more than were met on the way."""
        lacking = tuple(group[0].product_key for group in groups if not _is_whole(group))
        if not lacking:
            return groups
        found = await self.ask(
            min(len(lacking) * _MAX_PICTURES, MAX_ROWS), replace(self.wanted.filter, product_keys=lacking)
        )
        with self.steps.measure("group"):
            rows = {match.key: match for group in groups for match in group}
            rows.update((match.key, match) for match in found)
            return self.group(self.order(list(rows.values())))

    async def ask(self, limit: int, filter: Filter) -> list[Match]:
        with self.steps.measure("search"):
            return await self.store.search(
                self.query.vector, limit=limit, filter=filter, timeout=self.deadline - time.monotonic()
            )

    async def fetch(self, keys: Sequence[str]) -> dict[str, Vector]:
        with self.steps.measure("search"):
            return await self.store.fetch(keys, timeout=self.deadline - time.monotonic())

    def order(self, matches: list[Match]) -> list[Match]:
        """Those that are hits, the best first; rows that tie all get the inner product of the first, and go by key.

        Equal rows need not come with equal inner products: libraries add in other orders, and for the last rows of a
        block in another one than for the rest.
        """
        tie = _TIE * self.query.total
        if not _descends(matches, tie):
            matches.sort(key=_DOT, reverse=True)
            before = level = math.inf
            for place, match in enumerate(matches):
                if before - match.dot > tie:
                    level = match.dot
                before = match.dot
                matches[place] = match._replace(dot=level)
            matches.sort(key=lambda match: (-match.dot, match.key))
        while matches and not self.is_hit(matches[-1].dot):
            matches.pop()
        return matches

    def group(self, ordered: Sequence[Match]) -> list[_Group]:
        """Rows by product, in the order of each product's best; one by one where hits are not grouped."""
        if not self.wanted.group_by_product:
            return [[match] for match in ordered]
        groups: dict[str, _Group] = {}
        for match in ordered:
            groups.setdefault(match.product_key, []).append(match)
        return list(groups.values())

    def is_hit(self, dot: float) -> bool:
        return dot > 0 and (self.wanted.min_score <= 0 or self.query.score(dot) >= self.wanted.min_score)

    def score(self, group: _Group) -> list[ScoredPicture]:
        score, similarity = self.query.score, self.query.similarity
        return [
            ScoredPicture(key, product_key, score(dot), payload(), position, similarity(dot))
            for key, product_key, position, _, dot, payload in group[:_MAX_PICTURES]
        ]


_DOT = attrgetter("dot")


def _descends(matches: Sequence[Match], tie: float) -> bool:
    """Whether each row is further away than the one before it: so it is but for ties."""
    before = math.inf
    for match in matches:
        if before - match.dot <= tie:
            return False
        before = match.dot
    return True


def _is_whole(group: _Group) -> bool:
    """Whether there are as many rows of a product as its rows tell that it has pictures, or as it can have."""
    if len(group) == 1:
        return group[0].pictures == 1
    counts = [match.pictures for match in group]  # 0: the row does not tell
    return len(group) >= (max(counts) if min(counts) else _MAX_PICTURES)
