"""Rows of numbers: to unit length, compared with one another, turned into probabilities."""

from typing import Any

import numpy as np
import numpy.typing as npt

TINY = 1e-12
"""The least length that a vector is divided by: a zero vector stays zero."""

Numbers = npt.NDArray[Any]


def unit(vectors: Numbers) -> Numbers:
    """Vectors [..., size] scaled to length 1; a zero vector stays zero."""
    scaled: Numbers = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), TINY)
    return scaled


def cosines(one: Numbers, other: Numbers) -> npt.NDArray[np.float64]:
    """The cosine [n] of each row of one array [n, ...] with that of the other, in double precision."""
    a, b = (values.reshape(len(values), -1).astype(np.float64) for values in (one, other))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products: npt.NDArray[np.float64] = (a * b).sum(1) / np.maximum(lengths, TINY)
    return products


def softmax(logits: Numbers) -> Numbers:
    """Probabilities [..., labels] of logits."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities: Numbers = shares / shares.sum(-1, keepdims=True)
    return probabilities
