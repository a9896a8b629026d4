"""How good a classifier is, and how much its logits are to be divided by."""

import numpy as np

from sosie.training.classifier.dataset import Places
from sosie.training.heads import Floats

COLDEST, HOTTEST = 0.05, 20.0
_STEPS = 60


def f1_scores(predicted: Places, truth: Places, labels: int) -> tuple[float, float]:
    """F1 macro and weighted over the labels that `truth` [n] shows, n > 0; `predicted` [n] are places of labels."""
    shown = np.bincount(truth, minlength=labels)
    taken = np.bincount(predicted, minlength=labels)
    right = np.bincount(truth[predicted == truth], minlength=labels)
    f1 = 2 * right / np.maximum(shown + taken, 1)
    return float(f1[shown > 0].mean()), float((f1 * shown).sum() / shown.sum())


def fit_temperature(logits: Floats, truth: Places) -> float:
    """What to divide logits [n, labels] by, so that their softmax has the least negative log-likelihood for `truth`.

    Guo et al., "On Calibration of Modern Neural Networks" (2017). The likelihood has one peak in the inverse
    temperature, so thirds of the interval are cut off; the result is in COLDEST..HOTTEST.
    """
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(_STEPS):
        third = (high - low) / 3
        if measure_loss(logits * (low + third), truth) < measure_loss(logits * (high - third), truth):
            high -= third
        else:
            low += third
    return 2 / (low + high)


def measure_loss(logits: Floats, truth: Places) -> float:
    """The mean negative log-likelihood of `truth` [n] by the softmax of logits [n, labels]."""
    wide = logits.astype(np.float64)
    wide -= wide.max(1, keepdims=True)
    return float((np.log(np.exp(wide).sum(1)) - wide[np.arange(len(truth)), truth]).mean())
