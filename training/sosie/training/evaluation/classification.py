"""How well a classifier's probabilities fit what a catalog says.

With n(t, p) pictures of class t that are taken for class p, of n in all:

    accuracy   the share that is taken for its class
    TPR(c)     n(c, c) / sum over p of n(c, p): of the class, what is recognised (recall)
    FPR(c)     sum over t != c of n(t, c) / sum over t != c, p of n(t, p): of the others, what is taken for it
    F1(c)      2 n(c, c) / (sum over p of n(c, p) + sum over t of n(t, c))
    f1_macro     the mean of F1 over the classes that the pictures show
    f1_weighted  the same, weighted by how many pictures show each
    ece        expected calibration error: pictures in 15 bins by the probability of what they are taken for, and the
               mean distance between accuracy and probability in a bin, weighted by its pictures (Guo et al. 2017)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sosie.training.evaluation.bootstrap import ROUNDS, Estimate, Values, draw_weights, percentiles
from sosie.training.evaluation.ranking import Places
from sosie.training.heads import Floats

BINS = 15
METRICS = ("accuracy", "f1_macro", "f1_weighted", "ece")


@dataclass(frozen=True)
class ClassFigures:
    """One class: pictures that show it, and that are taken for it; `fpr` is NaN-free: 0 where there are no others."""

    label: str
    shown: int
    taken: int
    tpr: float
    fpr: float
    f1: float


@dataclass(frozen=True)
class Bin:
    """Pictures whose probabilities lie together: their mean `confidence`, the share that is `right`, their `count`."""

    confidence: float
    right: float
    count: int


@dataclass(frozen=True)
class ClassifierReport:
    """A classifier on pictures of known classes.

    `confusion` [classes, classes] counts pictures by class and by what they are taken for; `labels` name both, classes
    that neither occur nor are answered left out. `estimates` are METRICS.
    """

    name: str
    label_set: str
    split: str
    labels: tuple[str, ...]
    confusion: Places
    classes: tuple[ClassFigures, ...]
    reliability: tuple[Bin, ...]
    estimates: Mapping[str, Estimate]


def judge_classifier(
    probabilities: Floats, truth: Places, groups: Places, labels: Sequence[str], *, seed: int = 0
) -> tuple[Places, dict[str, Estimate]]:
    """The confusion [labels, labels] and the METRICS of probabilities [n, labels] where `truth` [n] is right, n > 0.

    `groups` [n] are the products: they are drawn together for the intervals.
    """
    size = len(labels)
    taken, confidence = probabilities.argmax(1), probabilities.max(1).astype(np.float64)
    right = (taken == truth).astype(np.float64)
    cells = truth * size + taken
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)

    def measure(weights: Values) -> Values:
        confusion: Values = np.bincount(cells, weights, minlength=size * size).astype(np.float64)
        gaps = np.bincount(bins, weights * (right - confidence), minlength=BINS)
        return np.array([*_summarise(confusion.reshape(size, size)), np.abs(gaps).sum() / weights.sum()])

    values = measure(np.ones(len(truth)))
    _, places = np.unique(groups, return_inverse=True)
    count = int(places.max()) + 1
    confusion: Places = np.bincount(cells, minlength=size * size).reshape(size, size)
    if count == 1:
        bounds: list[tuple[float | None, float | None]] = [(None, None)] * len(METRICS)
    else:
        drawn = np.stack([measure(weights[places]) for weights in draw_weights(count, seed, ROUNDS)])
        low, high = percentiles(drawn)
        bounds = [(float(least), float(most)) for least, most in zip(low, high, strict=True)]
    return confusion, {
        name: Estimate(float(value), *bound, len(truth))
        for name, value, bound in zip(METRICS, values, bounds, strict=True)
    }


def describe_classes(confusion: Places, labels: Sequence[str]) -> tuple[ClassFigures, ...]:
    """The figures of each class, from the confusion [labels, labels]."""
    total = int(confusion.sum())
    shown, taken, right = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    return tuple(
        ClassFigures(
            label=label,
            shown=int(shown[place]),
            taken=int(taken[place]),
            tpr=_divide(right[place], shown[place]),
            fpr=_divide(taken[place] - right[place], total - shown[place]),
            f1=_divide(2 * right[place], shown[place] + taken[place]),
        )
        for place, label in enumerate(labels)
    )


def measure_reliability(probabilities: Floats, truth: Places) -> tuple[Bin, ...]:
    """The bins of the reliability curve; empty ones are left out."""
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == truth
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return tuple(
        Bin(float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for inside in (bins == number for number in range(BINS))
        if inside.any()
    )


def _summarise(confusion: Values) -> tuple[float, float, float]:
    """Accuracy and F1, macro and weighted, of a weighted confusion."""
    shown, taken, right = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    present = shown > 0
    f1 = 2 * right[present] / (shown + taken)[present]
    total = shown.sum()
    return float(right.sum() / total), float(f1.mean()), float((f1 * shown[present]).sum() / total)


def _divide(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0
