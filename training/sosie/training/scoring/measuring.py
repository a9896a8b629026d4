"""From the cosines of pairs to a calibration, and how reliable its scores are on other pairs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sosie.engine.calibration import Calibration
from sosie.training.logistic import Doubles, regress
from sosie.training.scoring.pairs import PairSet

BINS = 10
CUTS = (0.5, 0.9)
"""Values of min_score at which is told what passes."""
HEAVIER = 3.0
"""The factor by which each part in turn is weighed more, to have scores hold for a caller's weights too."""
DIGITS = 5
"""Decimals that are kept."""
_RIDGE = 1e-6
_LEAST_SLOPE = 1e-3
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Reliability:
    """How far scores are from the share of pairs that fit: over 10 bins of equal width, and pair by pair.

    `error` is the expected calibration error (Guo et al. 2017), `brier` the mean squared difference (Brier 1950). Half
    of what counts are pairs that fit: whoever gives each pair 0.5 has 0 and 0.25. `wrong` is, for each of CUTS, the
    share of others among the pairs that score as much, NaN where none does.
    """

    error: float
    brier: float
    wrong: tuple[float, ...]


@dataclass(frozen=True)
class Judged:
    """One weighting of one kind of question on pairs that were not measured: similarities as scores, and scores."""

    weighting: str
    before: Reliability
    after: Reliability


def measure(pairs: PairSet) -> Calibration:
    """The means and the covariance of the cosines, and the correction that they need over all `weightings`."""
    fitting, others = (pairs.fits, ~pairs.fits)
    moments = [_moments(pairs.cosines[side], pairs.counted[side]) for side in (fitting, others)]
    covariance = (moments[0][1] + moments[1][1]) / 2 + _LEAST_VARIANCE * np.eye(len(pairs.parts))
    plain = Calibration(pairs.parts, _rounded(moments[0][0]), _rounded(moments[1][0]), tuple(map(_rounded, covariance)))
    odds, counts = [], []
    for weights in weightings(pairs.defaults).values():
        curve = plain.curve(weights)
        if curve is not None and curve.slope:
            odds.append(curve.slope * dots(pairs, weights) + curve.offset)
            counts.append(pairs.counted)
    if not odds:
        return plain
    design = np.stack([np.concatenate(odds), np.ones(sum(map(len, odds)))], axis=1)
    truth = np.tile(pairs.fits, len(odds))
    slope, offset = regress(design, truth, np.array([1.0, 0.0]), _RIDGE, np.concatenate(counts))
    return replace(plain, slope=round(max(float(slope), _LEAST_SLOPE), DIGITS), offset=round(float(offset), DIGITS))


def weightings(defaults: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The default weights, and each part that has one weighed three times as much."""
    weighed = {name: weight for name, weight in defaults.items() if weight > 0}
    found = {"default": weighed}
    if len(weighed) > 1:
        found |= {f"{name} x {HEAVIER:g}": weighed | {name: HEAVIER * weighed[name]} for name in weighed}
    return found


def judge(pairs: PairSet, calibration: Calibration, tried: Mapping[str, Mapping[str, float]]) -> Iterator[Judged]:
    """How reliable scores are by each of some weightings, beside plain similarities cut at 0."""
    for name, weights in tried.items():
        curve = calibration.curve(weights)
        if curve is not None:
            found = dots(pairs, weights)
            before = np.clip(found / sum(weights.values()), 0, 1)
            after = np.array([curve.score(dot) for dot in found])
            yield Judged(name, reliability(pairs, before), reliability(pairs, after))


def dots(pairs: PairSet, weights: Mapping[str, float]) -> Doubles:
    """The inner products [n] by these weights."""
    products: Doubles = pairs.cosines @ np.array([weights.get(name, 0.0) for name in pairs.parts])
    return products


def reliability(pairs: PairSet, scores: Doubles) -> Reliability:
    """Of scores [n], 0..1."""
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    apart = np.bincount(places, pairs.counted * (scores - pairs.fits), minlength=BINS)
    squared = pairs.counted * (scores - pairs.fits) ** 2
    passed = [pairs.counted * (scores >= cut) for cut in CUTS]
    wrong = tuple(float((kept * ~pairs.fits).sum() / kept.sum()) if kept.any() else float("nan") for kept in passed)
    return Reliability(float(np.abs(apart).sum()), float(squared.sum()), wrong)


def _moments(cosines: Doubles, counted: Doubles) -> tuple[Doubles, Doubles]:
    """The mean [parts] and the covariance [parts, parts]."""
    mean: Doubles = np.average(cosines, axis=0, weights=counted)
    apart = cosines - mean
    covariance: Doubles = (apart * counted[:, None]).T @ apart / counted.sum()
    return mean, covariance


def _rounded(values: Doubles) -> tuple[float, ...]:
    return tuple(round(float(value), DIGITS) for value in values)
