"""What the parts of the bundle `mini` are: the reference in numpy that the ONNX graphs are verified against.

    look     pooled features of EfficientNet-Lite0's head, mean removed, projected on 512 directions, unit length
    colour   a soft histogram over CIELAB of what differs from the picture's background, unit length
    meaning  of a picture, before heads are fitted: the sentence vectors of its most probable classes, mixed

Nothing here was learned from photographs: the whitening of `look` is read off the network's own weights.
docs/quality.md has the measurements behind each constant.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.training.vectors import unit

Floats = npt.NDArray[Any]

LOOK_SIZE = 512

COLOUR_SIDE = 56
"""Cells a side at which colours are read: of a 224 pixel picture, each is the mean of 4x4 pixels."""
COLOUR_SIGMA = 7.0
"""Width, in Lab units, of the Gaussian by which a cell's colour is shared among the nodes."""
FOREGROUND_DISTANCE = 8.0
"""Lab distance from the background at which a cell counts half."""
FOREGROUND_SOFTNESS = 3.0
"""Lab units over which that weight rises."""
CENTRE_FALL = 9.0
"""A cell at a distance r from the middle, in picture widths, weighs exp(-9 r^2)."""

MEANING_CLASSES = 10

D65_WHITE = (0.95047, 1.0, 1.08883)
SRGB_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
LAB_EPSILON = (6 / 29) ** 3
"""Where CIELAB's cube root becomes a straight line."""
LAB_SLOPE = (29 / 6) ** 2 / 3


def relu6_mean(mean: Floats, deviation: Floats) -> Floats:
    """The expectation of clip(x, 0, 6) for normal x, from its mean and standard deviation, elementwise."""
    return _relu_mean(mean, deviation) - _relu_mean(mean - 6, deviation)


def _relu_mean(mean: Floats, deviation: Floats) -> Floats:
    """The expectation of max(x, 0): m P(z < m/d) + d p(m/d)."""
    deviation = np.maximum(np.abs(deviation), 1e-12)
    z = mean / deviation
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z.ravel()]).reshape(z.shape)
    return np.asarray(mean * below + deviation * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


def look_statistics(
    norm_weight: Floats, norm_bias: Floats, class_weights: Floats, size: int = LOOK_SIZE
) -> tuple[Floats, Floats]:
    """The mean [channels] and the projection [channels, size] of `look`, from the network's own weights.

    `norm_weight` and `norm_bias` [channels] are those of the head's batch normalisation: before its ReLU6 a channel has
    that standard deviation and mean over the photographs that the network was trained on. `class_weights` [classes,
    channels] is the classifier's matrix: its right singular vectors are the directions that tell things apart, its
    singular values stand for the spread along them, as a covariance's would.
    """
    mean = relu6_mean(norm_bias.astype(np.float64), norm_weight.astype(np.float64))
    _, spread, directions = np.linalg.svd(class_weights.astype(np.float64), full_matrices=False)
    directions = directions[:size]
    largest = np.abs(directions).argmax(1)
    signs = np.sign(directions[np.arange(len(directions)), largest])  # else LAPACK chooses them
    projection = (directions * signs[:, None]).T / spread[:size]
    return mean.astype(np.float32), projection.astype(np.float32)


def look(pooled: Floats, mean: Floats, projection: Floats) -> Floats:
    """[n, size] from pooled features [n, channels]."""
    return unit((pooled - mean) @ projection)


def srgb_to_lab(colours: Floats) -> Floats:
    """CIELAB under D65 of gamma-encoded sRGB colours 0..1, shape [..., 3] (IEC 61966-2-1, CIE 15)."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004, the norm
    xyz = linear @ (np.array(SRGB_TO_XYZ).T / np.array(D65_WHITE))
    root = np.where(xyz > LAB_EPSILON, np.cbrt(xyz), LAB_SLOPE * xyz + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def colour_nodes() -> Floats:
    """The Lab colours [131, 3] that the histogram counts: a grid of 20 units, as far as sRGB reaches into it."""
    axis = np.arange(-60, 61, 20)
    grid = np.array([(light, a, b) for light in (10, 30, 50, 70, 90) for a in axis for b in axis], np.float64)
    steps = np.linspace(0, 1, 18)
    shown = srgb_to_lab(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3))
    distance = np.linalg.norm(grid[:, None] - shown[None], axis=2).min(1)
    kept: Floats = grid[distance <= 6].astype(np.float32)  # noqa: PLR2004, measured: fewer lose pure hues, more are never met
    return kept


@cache
def centre_weights() -> Floats:
    """[side * side] weights of the cells, row by row: the middle of a picture shows the thing, its rim the rest."""
    place = (np.arange(COLOUR_SIDE) + 0.5) / COLOUR_SIDE - 0.5
    return np.exp(-CENTRE_FALL * (place[:, None] ** 2 + place[None] ** 2)).ravel().astype(np.float32)


@cache
def cell_weights(size: int) -> Floats:
    """[side, size]: how much of each pixel of a line lies in each cell; each row sums to 1, whatever the size."""
    edges = np.arange(COLOUR_SIDE + 1) * size / COLOUR_SIDE
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(overlap.clip(0) * COLOUR_SIDE / size)


def colour(pictures: npt.NDArray[np.uint8]) -> Floats:
    """[n, 131] from prepared pictures [n, size, size, 3]: square roots of the nodes' shares, unit length.

    The background is the border's median in each Lab channel. A cell counts the more, the farther it is from that and
    the nearer to the middle. Shares are square-rooted, so the inner product of two parts is their Bhattacharyya
    coefficient. A picture without a foreground is described by its background.
    """
    n, size = pictures.shape[:2]
    cells = np.einsum("yi,nijc,xj->nyxc", cell_weights(size), pictures, cell_weights(size), optimize=True) / 255
    lab = srgb_to_lab(cells)
    border = np.concatenate([lab[:, 0], lab[:, -1], lab[:, :, 0], lab[:, :, -1]], axis=1)
    distance = np.linalg.norm(lab - np.median(border, axis=1)[:, None, None], axis=-1).reshape(n, -1)
    weight = centre_weights() / (1 + np.exp((FOREGROUND_DISTANCE - distance) / FOREGROUND_SOFTNESS))
    nodes = colour_nodes()
    logits = (lab.reshape(n, -1, 3) @ nodes.T - (nodes**2).sum(1) / 2) / COLOUR_SIGMA**2
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    histogram = np.einsum("nc,ncg->ng", weight / weight.sum(1, keepdims=True), shares)
    return unit(np.sqrt(histogram)).astype(np.float32)


def class_meaning(probabilities: Floats, class_vectors: Floats) -> Floats:
    """[n, size]: what a picture means while no head is fitted, from its classes' probabilities [n, classes].

    The sentence vectors [classes, size] of the ten most probable class names, weighted by their probabilities.
    """
    rest = np.argsort(-probabilities, axis=1, kind="stable")[:, MEANING_CLASSES:]
    kept = probabilities.copy()
    np.put_along_axis(kept, rest, 0, axis=1)
    return unit(kept @ class_vectors)
