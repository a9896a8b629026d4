"""The colour part as an ONNX graph: which colours the thing in the picture has, background left out.

A soft histogram in CIELAB (D65). The colour of the background is the median of the border; what lies nearer to it than
`FOREGROUND` is left out, unless nearly everything does. Pixels near the middle weigh more.
"""

import numpy as np

from sosie.training.efficientnet import SIZE as PICTURE
from sosie.training.graph import FLOAT, GraphBuilder

CENTRES = np.array(
    [(light, a, b) for light in (20, 50, 80) for a in (-40, -13, 13, 40) for b in (-40, -13, 13, 40)], np.float64
)
"""The colours that the histogram counts, in Lab."""
SIZE = len(CENTRES)
SCALE = 4
"""Pixels of the picture, each way, that are averaged to one."""
SIGMA = 14.0
"""How far a colour reaches, in units of Lab."""
LIGHTNESS = 0.35
"""What a squared difference in lightness counts against one in a or b."""
FOREGROUND = 12.0
"""The distance in Lab from which on a pixel is no background."""
LEAST_SHARE = 0.017
"""The share of the picture that must be foreground for the background to be left out."""
MIDDLE = 1 / 3
"""Where the weight of a pixel has fallen to 1/e, as a share of the picture's side from its middle."""

_WIDTH = PICTURE // SCALE
_PIXELS = _WIDTH * _WIDTH
# IEC 61966-2-1: linear sRGB to XYZ; then CIE 15: XYZ to Lab with the white of D65.
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = np.array([0.950456, 1.0, 1.088754])
_TO_LAB = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
_LAB_ORIGIN = np.array([-16.0, 0.0, 0.0])


def add_colour(graph: GraphBuilder, picture: str) -> str:
    """Adds the part: picture float32 [n, 3, 224, 224] of 0..255, RGB -> unit vectors [n, SIZE]."""
    lab = _add_lab(graph, picture)
    weight = _add_weight(graph, lab)
    share = _add_shares(graph, lab)
    counts = graph.node("Squeeze", graph.node("MatMul", weight, share), graph.integers(1))
    return graph.unit(graph.node("Sqrt", counts))


def _add_lab(graph: GraphBuilder, picture: str) -> str:
    """The picture, made smaller, in Lab: [n, pixels, 3]."""
    small = graph.node("AveragePool", picture, kernel_shape=[SCALE, SCALE], strides=[SCALE, SCALE])
    rows = graph.node("Transpose", graph.node("Reshape", small, graph.integers(0, 3, _PIXELS)), perm=[0, 2, 1])
    value = graph.node("Mul", rows, graph.number(1 / 255))
    bright = graph.node("Mul", graph.node("Add", value, graph.number(0.055)), graph.number(1 / 1.055))
    linear = graph.node(
        "Where",
        graph.node("Greater", value, graph.number(0.04045)),
        graph.node("Pow", bright, graph.number(2.4)),
        graph.node("Mul", value, graph.number(1 / 12.92)),
    )
    xyz = graph.node("MatMul", linear, graph.array("colour.to_xyz", (_TO_XYZ / _WHITE[:, None]).T))
    curved = graph.node(
        "Where",
        graph.node("Greater", xyz, graph.number(0.008856)),
        graph.node("Pow", graph.node("Max", xyz, graph.number(0.008856)), graph.number(1 / 3)),
        graph.node("Add", graph.node("Mul", xyz, graph.number(7.787)), graph.number(16 / 116)),
    )
    return graph.linear("colour.to_lab", curved, _TO_LAB.T, _LAB_ORIGIN)


def _add_weight(graph: GraphBuilder, lab: str) -> str:
    """What each pixel counts: [n, 1, pixels]."""
    border = graph.node("Gather", lab, graph.array("colour.border", _border()), axis=1)
    half = len(_border()) // 2
    upper, _ = graph.nodes("TopK", border, graph.integers(half + 1), outputs=2, axis=1)
    middle = graph.node("Slice", upper, graph.integers(half - 1), graph.integers(half + 1), graph.integers(1))
    background = graph.node("ReduceMean", middle, graph.integers(1), keepdims=1)
    distance = graph.node("ReduceL2", graph.node("Sub", lab, background), graph.integers(2), keepdims=0)
    thing = graph.node("Cast", graph.node("Greater", distance, graph.number(FOREGROUND)), to=FLOAT)
    share = graph.node("ReduceMean", thing, graph.integers(1), keepdims=1)
    kept = graph.node("Where", graph.node("Greater", share, graph.number(LEAST_SHARE)), thing, graph.number(1.0))
    return graph.node("Unsqueeze", graph.node("Mul", kept, graph.array("colour.middle", _middle())), graph.integers(1))


def _add_shares(graph: GraphBuilder, lab: str) -> str:
    """How each pixel is shared among the centres: [n, pixels, SIZE].

    A Gaussian of the distance, divided by the sum over the centres: the part of the square that depends on the pixel
    alone falls out, so it is the softmax of a linear function.
    """
    scale = np.array([LIGHTNESS, 1, 1]) / SIGMA**2
    logits = graph.linear("colour.centres", lab, (CENTRES * scale).T, -(CENTRES**2 * scale).sum(1) / 2)
    return graph.node("Softmax", logits, axis=-1)


def _border() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The places of the outermost pixels, corners twice."""
    places = np.arange(_PIXELS, dtype=np.int64).reshape(_WIDTH, _WIDTH)
    return np.concatenate([places[0], places[-1], places[:, 0], places[:, -1]])


def _middle() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    distance = (np.arange(_WIDTH) - _WIDTH / 2) / (MIDDLE * _WIDTH)
    return np.exp(-(distance[:, None] ** 2 + distance**2)).ravel()
