"""The whitening of the look part, from the weights alone.

The mean of the features is what the last batch normalisation says of its input, passed through ReLU6. The directions
are those in which the classifier's classes differ most: the first principal directions of its weights.
"""

import math

import numpy as np

from sosie.training.checkpoints import Arrays
from sosie.training.heads import Projection

SIZE = 256


def from_weights(weights: Arrays, size: int = SIZE) -> Projection:
    """The projection of features [n, 1280] onto the look part [n, size]."""
    classes = weights["_fc.weight"].astype(np.float64)
    _, _, directions = np.linalg.svd(classes - classes.mean(0), full_matrices=False)
    kept = directions[:size]
    # A direction is as good as its opposite; the largest number decides, so that every machine chooses alike.
    signs = np.sign(kept[np.arange(size), np.abs(kept).argmax(1)])
    return Projection(_expected(weights), (kept * signs[:, None]).T.astype(np.float32), computed=True)


def _expected(weights: Arrays) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The mean of min(max(x, 0), 6) for x normal with each channel's mean and deviation after normalisation."""
    mean, deviation = weights["_bn1.bias"].astype(np.float64), np.abs(weights["_bn1.weight"].astype(np.float64))

    def above(bound: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The mean of max(x - bound, 0)."""
        z = (mean - bound) / deviation
        cumulative = np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in z])
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return np.asarray((mean - bound) * cumulative + deviation * density)

    return (above(0.0) - above(6.0)).astype(np.float32)
