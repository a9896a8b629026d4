"""Orders candidates for questions, and says for each question how good the order is.

For one question let the candidates be ordered by falling similarity, r(i) be 1 where the i-th is right and 0 where not,
and R the number of right ones (Manning, Raghavan and Schuetze 2008, chapter 8):

    hit_rate@k   1 where r(i) is 1 for an i <= k, else 0
    p@k          (r(1) + ... + r(k)) / k
    map          (1 / R) sum over i with r(i) = 1 of p@i: the average precision

A question counts where R > 0. The same product is hit at best R times, so that p@k has a ceiling of min(R, k) / k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.training.evaluation.bootstrap import Values
from sosie.training.heads import Floats

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FIRST = (1, 5, 10)
"""The k of hit_rate@k and p@k."""
SHOWN = 10
"""How many of the first candidates are kept of each question."""
NONE = -1
"""The label of what has none, and a question's own picture where it is no candidate."""
METRICS = (*(f"hit_rate@{k}" for k in FIRST), *(f"p@{k}" for k in FIRST), "map")
CEILING = f"ceiling of p@{FIRST[-1]}"
CHANCE = "share of right candidates"

_BLOCK_NUMBERS = 4_000_000  # of similarities at once: some 100 MB with what is made of them


@dataclass(frozen=True)
class Relation:
    """What makes a candidate right for a question: the same label, which is NONE for what has none.

    `questions` [q] and `candidates` [n] are labels. With `without_own`, candidates of the question's own product are
    left out of this relation's order.
    """

    name: str
    questions: Places
    candidates: Places
    without_own: bool = False


@dataclass(frozen=True)
class Questions:
    """Query vectors [q, size]; `pictures` [q] are their own candidates, left out everywhere; `products` [q] theirs."""

    vectors: Floats
    pictures: Places
    products: Places


@dataclass(frozen=True)
class Ranked:
    """`first` [q, SHOWN] are candidates, the nearest first, NONE where there are no more.

    `values` [q, len(METRICS) + 2] by relation: METRICS, CEILING and CHANCE of each question; NaN where it does not
    count.
    """

    first: Places
    values: Mapping[str, Values]


def rank(
    questions: Questions, rows: Floats, products: Places, relations: Sequence[Relation], *, by_product: bool, seed: int
) -> Ranked:
    """Orders rows [n, size] that show `products` [n], ascending, for each question.

    With `by_product` the candidates are products, as the service answers: each is as near as the nearest of its rows,
    and the relations' candidates are labels of products. Ties are broken by a draw that `seed` decides.
    """
    starts = np.flatnonzero(np.diff(products, prepend=-1))
    owners = products[starts] if by_product else products
    draw = np.random.default_rng(seed).permutation(len(owners))
    step = max(1, _BLOCK_NUMBERS // len(rows))
    first, values = [], {relation.name: [np.zeros((0, len(METRICS) + 2))] for relation in relations}
    for start in range(0, len(questions.vectors), step):
        block = slice(start, start + step)
        similarity = questions.vectors[block] @ rows.T
        own = questions.pictures[block]
        known = np.flatnonzero(own != NONE)
        similarity[known, own[known]] = -np.inf
        if by_product:
            similarity = np.maximum.reduceat(similarity, starts, axis=1)
        order = draw[np.argsort(-similarity[:, draw], axis=1, kind="stable")]
        kept = np.take_along_axis(similarity, order, axis=1) > -np.inf
        first.append(_pad(np.where(kept, order, NONE)[:, :SHOWN]))
        for relation in relations:
            wanted = relation.questions[block, None]
            right = kept & (wanted != NONE) & (relation.candidates[order] == wanted)
            counted = kept & (owners[order] != questions.products[block, None]) if relation.without_own else kept
            values[relation.name].append(judge(right & counted, counted))
    return Ranked(
        np.concatenate(first) if first else np.zeros((0, SHOWN), np.int64),
        {name: np.concatenate(pieces) for name, pieces in values.items()},
    )


def judge(right: Flags, counted: Flags) -> Values:
    """METRICS, CEILING and CHANCE [q, len(METRICS) + 2] of candidates in order; both [q, n].

    `counted` says which candidates are there at all; `right` is false for those that are not. Rows without a right one
    are NaN.
    """
    ranks = np.maximum(counted.cumsum(1), 1)
    precision = right.cumsum(1) / ranks
    total = right.sum(1)
    found = {k: (right & (ranks <= k)).sum(1) for k in FIRST}
    divisor = np.maximum(total, 1)
    last = FIRST[-1]
    columns = [
        *(found[k] > 0 for k in FIRST),
        *(found[k] / k for k in FIRST),
        (precision * right).sum(1) / divisor,
        np.minimum(total, last) / last,
        total / np.maximum(counted.sum(1), 1),
    ]
    values: Values = np.stack(columns, axis=1).astype(np.float64)
    values[total == 0] = np.nan
    return values


def _pad(first: Places) -> Places:
    return np.pad(first, ((0, 0), (0, SHOWN - first.shape[1])), constant_values=NONE)
