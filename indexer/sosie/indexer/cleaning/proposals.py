"""Proposals for categories that no entry covers, by how similar their texts are."""

import re
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from sosie.indexer.cleaning.categories import CategoryMap, CategoryPath
from sosie.indexer.cleaning.text import fold

MIN_LEAF = 0.78
"""How similar the narrowest levels must be at least: at 0.75 a skirt becomes a T-shirt."""

_LEAF_SHARE = 0.6  # the narrowest level says most of what a thing is
_INSIDE = 0.9  # what a name is worth that is part of another, as `boots` of `ankle boots`
_MIN_INSIDE = 4  # letters: shorter ones are in anything


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

        60% of the score is how similar the narrowest levels are: the share of letters that they have in common with
        their words sorted, or 0.9 of that where one is part of the other. 40% is which share of the words above them
        the shorter has in common with the longer, half where one has none.
        """
        written = fold(category)
        proposals: dict[CategoryPath, Proposal] = {}
        for score, place in sorted(self._score(written), key=lambda found: (-found[0], self._paths[found[1]])):
            target = self._targets[place]
            proposals.setdefault(target, Proposal(target, round(score, 2), self._paths[place]))
            if len(proposals) == limit:
                break
        return list(proposals.values())

    def _score(self, written: str) -> list[tuple[float, int]]:
        """Scores and places of the known categories whose narrowest level is similar enough."""
        if not self._paths:
            return []
        leaf, above = _leaf(written), _words_above(written)
        whole = process.cdist([leaf], self._leaves, scorer=fuzz.token_sort_ratio)[0]
        inside = process.cdist([leaf], self._leaves, scorer=fuzz.partial_ratio)[0]
        found = []
        for place, other in enumerate(self._leaves):
            similarity = float(whole[place]) / 100
            if min(len(leaf), len(other)) >= _MIN_INSIDE:
                similarity = max(similarity, _INSIDE * float(inside[place]) / 100)
            if similarity >= MIN_LEAF:
                shared = _share(above, _words_above(self._paths[place]))
                found.append((_LEAF_SHARE * similarity + (1 - _LEAF_SHARE) * shared, place))
        return found


def _leaf(category: str) -> str:
    return category.rpartition(">")[2].strip()


def _words_above(category: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", category.rpartition(">")[0]))


def _share(words: frozenset[str], others: frozenset[str]) -> float:
    shorter = min(len(words), len(others))
    return len(words & others) / shorter if shorter else 0.5
