"""The linear layer upon frozen features: logistic regression, fitted in seconds."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from sosie.training.classifier.dataset import Places
from sosie.training.classifier.metrics import f1_scores, measure_loss
from sosie.training.heads import Floats

PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""What is tried as the weight of the squared matrix beside the mean loss, with features of unit variance."""
ITERATIONS = 200
_LEAST_DEVIATION = 0.05
"""Of a feature, as a share of the mean one: scaled up further, what hardly varies would drown the rest elsewhere."""


@dataclass(frozen=True)
class Head:
    """logits = features @ matrix.T + bias: `matrix` [labels, features], `bias` [labels]."""

    matrix: Floats
    bias: Floats

    def apply(self, features: Floats) -> Floats:
        logits: Floats = features @ self.matrix.T + self.bias
        return logits


def fit_head(
    features: Floats, truth: Places, weights: Floats, *, seen: Floats, seen_truth: Places, smoothing: float
) -> tuple[Head, float]:
    """The head for features [n, size] of labels `truth` [n], and the penalty that it was fitted with.

    `weights` [labels] count in the loss. Of PENALTIES the one is taken that gives `seen` the best weighted F1, of equal
    ones that with the least loss.
    """
    mean, deviation = features.mean(0), features.std(0)
    deviation = np.maximum(deviation, _LEAST_DEVIATION * deviation.mean() or 1.0)  # all alike: nothing to scale
    values = torch.from_numpy((features - mean) / deviation)
    best: tuple[tuple[float, float], Head, float] | None = None
    for penalty in PENALTIES:
        matrix, bias = _fit(values, torch.from_numpy(truth), torch.from_numpy(weights), penalty, smoothing)
        folded = (matrix / deviation).astype(np.float32)
        head = Head(folded, (bias - folded @ mean).astype(np.float32))
        logits = head.apply(seen)
        score = (f1_scores(logits.argmax(1), seen_truth, len(weights))[1], -measure_loss(logits, seen_truth))
        if best is None or score > best[0]:
            best = (score, head, penalty)
    assert best is not None  # noqa: S101  # there are penalties
    return best[1], best[2]


def _fit(
    values: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor, penalty: float, smoothing: float
) -> tuple[Floats, Floats]:
    matrix = torch.zeros((len(weights), values.shape[1]), requires_grad=True)
    bias = torch.zeros(len(weights), requires_grad=True)
    optimiser = torch.optim.LBFGS([matrix, bias], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe")

    def measure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = values @ matrix.T + bias
        loss = functional.cross_entropy(logits, truth, weights, label_smoothing=smoothing)
        loss = loss + penalty * matrix.square().sum()
        loss.backward()
        return loss

    optimiser.step(measure)
    return matrix.detach().numpy(), bias.detach().numpy()
