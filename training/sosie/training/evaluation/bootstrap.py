"""Intervals of means by the bootstrap, with questions drawn in groups.

Questions about one product are alike, so whole products are drawn, not questions (a cluster bootstrap; Davison and
Hinkley 1997, section 3.8). The interval is that between the percentiles (Efron 1979).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

ROUNDS = 1000
CONFIDENCE = 0.95

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with the bounds of its 95 % interval, None where there is none, and how many cases it stands on."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int = 0


def estimate_means(
    values: Values, groups: npt.NDArray[np.int64], *, seed: int = 0, rounds: int = ROUNDS
) -> list[Estimate]:
    """The means of the columns of `values` [questions, columns], and their intervals.

    `groups` [questions] says which questions are drawn together. The same seed gives the same intervals. Without a
    question there is no mean: ValueError. With a single group there is no interval.
    """
    if not len(values):
        raise ValueError("there is nothing to take the mean of")
    _, places = np.unique(groups, return_inverse=True)
    sizes = np.bincount(places).astype(np.float64)
    sums = np.stack([np.bincount(places, weights=column) for column in values.T], axis=1)
    means = values.mean(0)
    if len(sizes) == 1:
        return [Estimate(float(mean), None, None, len(values)) for mean in means]
    weights = draw_weights(len(sizes), seed, rounds)
    drawn = (weights @ sums) / (weights @ sizes)[:, None]
    low, high = percentiles(drawn)
    return [
        Estimate(float(mean), float(least), float(most), len(values))
        for mean, least, most in zip(means, low, high, strict=True)
    ]


def percentiles(drawn: Values) -> tuple[Values, Values]:
    """The bounds of the 95 % interval of each column of `drawn` [rounds, columns]."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return low, high


@lru_cache(maxsize=4)
def draw_weights(groups: int, seed: int, rounds: int = ROUNDS) -> Values:
    """How often each group is drawn in each round: [rounds, groups], each row of the sum `groups`."""
    rng = np.random.default_rng(seed)
    counts: Values = rng.multinomial(groups, np.full(groups, 1 / groups), size=rounds).astype(np.float64)
    counts.flags.writeable = False  # it is shared
    return counts
