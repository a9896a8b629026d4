"""Proposals for categories that no entry covers, by how similar their texts are."""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from sosie.indexer.cleaning.categories import CategoryMap, CategoryPath
from sosie.indexer.cleaning.text import fold

MIN_SCORE = 0.6
"""Less similar texts are no proposal: below it most have only letters in common."""

_LEAF_SHARE = 0.6  # the narrowest level says most of what a thing is


@dataclass(frozen=True)
class Proposal:
    """What a category may become: `score`, 0 to 1, is how similar it is to the category `like`, which becomes that.

    `like` is one of the house's own categories, or one that an entry of some shop maps already.
    """

    target: CategoryPath
    score: float
    like: str


class Proposer:
    """Compares categories with all that a category map knows."""

    def __init__(self, categories: CategoryMap) -> None:
        known = dict(categories.own)
        for shop in categories.shops.values():
            for entries in (shop.exact, shop.below):
                known.update({written: target for written, target in entries.items() if target})
        self._targets = list(known.values())
        self._paths = list(known)
        self._leaves = [_leaf(written) for written in known]

    def propose(self, category: str, limit: int = 3) -> list[Proposal]:
        """Up to `limit` different targets for a category written as one text, the best first.

        The score is that of the narrowest level and that of the whole path together, each the share of letters in
        common with the words sorted: so the order of words makes no difference.
        """
        if not self._paths:
            return []
        written = fold(category)
        paths = _similarities(written, self._paths)
        leaves = _similarities(_leaf(written), self._leaves)
        scores = [_LEAF_SHARE * leaf + (1 - _LEAF_SHARE) * path for leaf, path in zip(leaves, paths, strict=True)]
        proposals: dict[CategoryPath, Proposal] = {}
        for place in sorted(range(len(scores)), key=lambda place: (-scores[place], self._paths[place])):
            if scores[place] < MIN_SCORE or len(proposals) == limit:
                break
            target = self._targets[place]
            proposals.setdefault(target, Proposal(target, round(scores[place], 2), self._paths[place]))
        return list(proposals.values())


def _leaf(category: str) -> str:
    return category.rpartition(">")[2].strip()


def _similarities(text: str, others: Sequence[str]) -> list[float]:
    """0 to 1 for each of the others."""
    scores = process.cdist([text], others, scorer=fuzz.token_sort_ratio)
    return [float(score) / 100 for score in scores[0]]
