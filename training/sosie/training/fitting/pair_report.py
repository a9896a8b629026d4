"""How well a score tells pictures of the same product from others: ROC, its area, and whether it means what it says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.training.fitting.judging import Doubles, Places

Truth = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating[Any]]

FALSE_POSITIVE_RATES = (0.01, 0.05)
ROC_POINTS = 200
BINS = 10
RESAMPLES = 400
ONE_SIDED_5_PERCENT = 0.05


@dataclass(frozen=True)
class Bin:
    """Pairs whose probabilities lie together: their mean `confidence`, the `share` that is the same, the `count`."""

    confidence: float
    share: float
    count: int


@dataclass(frozen=True)
class PairFigures:
    """What one score is worth on held-out pairs.

    `auc` is the area under the ROC, `auc_hard` that with the hard negatives alone; `tpr_at_fpr` the share of same pairs
    found where 1 % and 5 % of the others are taken for the same; `roc` points (false, true positive rate). `brier`, the
    expected calibration error `ece` and `reliability` are of probabilities, None and empty for other scores.
    """

    auc: float
    auc_hard: float
    tpr_at_fpr: Mapping[str, float]
    roc: tuple[tuple[float, float], ...]
    brier: float | None = None
    ece: float | None = None
    reliability: tuple[Bin, ...] = ()


@dataclass(frozen=True)
class PairReport:
    """A same-product head on products that its training held out, beside the cosine of default-weighted vectors."""

    scorer: str
    space: str
    products: int
    positives: int
    negatives: int
    hard_negatives: int
    head: PairFigures
    baseline: PairFigures

    def to_json(self) -> dict[str, object]:
        """As JSON's own types."""
        return asdict(self)


def measure_score(scores: Scores, same: Truth, hard: Truth, *, probabilities: bool) -> PairFigures:
    """The figures of scores [n] of pairs of which `same` [n] show one product, and `hard` [n] are hard negatives."""
    false, true = measure_roc(scores, same)
    kept = same | hard
    chosen = np.unique(np.linspace(0, len(false) - 1, ROC_POINTS).round().astype(int))
    figures = PairFigures(
        auc=measure_auc(scores, same),
        auc_hard=measure_auc(scores[kept], same[kept]),
        tpr_at_fpr={f"{rate:g}": float(true[false <= rate].max()) for rate in FALSE_POSITIVE_RATES},
        roc=tuple((float(false[place]), float(true[place])) for place in chosen),
    )
    if not probabilities:
        return figures
    bins = measure_reliability(scores, same)
    return PairFigures(
        **{name: getattr(figures, name) for name in ("auc", "auc_hard", "tpr_at_fpr", "roc")},
        brier=float(((scores - same) ** 2).mean()),
        ece=sum(abs(part.confidence - part.share) * part.count for part in bins) / len(scores),
        reliability=bins,
    )


def measure_roc(scores: Scores, same: Truth) -> tuple[Doubles, Doubles]:
    """False and true positive rates at every threshold, both from 0 to 1; ties are passed at once."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    true, false = np.cumsum(same[order])[last], np.cumsum(~same[order])[last]
    return np.append(0.0, false / max(1, false[-1])), np.append(0.0, true / max(1, true[-1]))


def measure_auc(scores: Scores, same: Truth, weights: Doubles | None = None) -> float:
    """The chance that a same pair scores above another, ties counting half; NaN without both kinds.

    `weights` [n] say how often each pair counts.
    """
    counted = np.ones(len(scores)) if weights is None else weights
    _, group = np.unique(scores, return_inverse=True)
    positive = np.bincount(group, counted * same, minlength=1)
    negative = np.bincount(group, counted * ~same, minlength=1)
    total = positive.sum() * negative.sum()
    if total == 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / total)


def measure_reliability(probabilities: Scores, same: Truth) -> tuple[Bin, ...]:
    """Ten bins of equal width over 0..1, empty ones left out."""
    places = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(float(probabilities[inside].mean()), float(same[inside].mean()), int(inside.sum()))
        for inside in (places == number for number in range(BINS))
        if inside.any()
    )


def is_better(scores: Scores, baseline: Scores, same: Truth, clusters: Places, *, seed: int = 0) -> bool:
    """Whether the area under the ROC is greater beyond chance: one-sided at 5 %, by a paired bootstrap over clusters.

    `clusters` [n] are the families of the pairs' first pictures: pairs of one family are no independent evidence.
    """
    rng = np.random.default_rng(seed)
    _, numbers = np.unique(clusters, return_inverse=True)
    different = int(numbers.max()) + 1
    gains = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(0, different, different), minlength=different).astype(np.float64)[numbers]
        gains.append(measure_auc(scores, same, drawn) - measure_auc(baseline, same, drawn))
    return bool(np.nanquantile(gains, ONE_SIDED_5_PERCENT) > 0)
