"""The colour part as an ONNX graph: which colours the thing in the picture has, background left out.

The same steps as `parts.colour`, which explains them.
"""

import numpy as np
import numpy.typing as npt

from sosie.training import parts
from sosie.training.efficientnet import SIZE as PICTURE
from sosie.training.graph import GraphBuilder

SIZE = len(parts.colour_nodes())
"""Numbers in the part."""

_SIDE = parts.COLOUR_SIDE
_CELLS = _SIDE * _SIDE
_TO_LAB = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
_LAB_ORIGIN = np.array([-16.0, 0.0, 0.0])


def add_colour(graph: GraphBuilder, picture: str, size: int = PICTURE) -> str:
    """Adds the part: picture float32 [n, 3, size, size] of 0..255, RGB -> unit vectors [n, SIZE]."""
    lab = _add_lab(graph, _add_cells(graph, picture, size))
    counts = graph.node("MatMul", _add_weight(graph, lab), _add_shares(graph, lab))
    return graph.unit(graph.node("Sqrt", graph.node("Squeeze", counts, graph.integers(1))))


def _add_cells(graph: GraphBuilder, picture: str, size: int) -> str:
    """The means of the picture's cells: [n, 3, side, side]."""
    pixels, rest = divmod(size, _SIDE)
    if not rest:
        return graph.node("AveragePool", picture, kernel_shape=[pixels, pixels], strides=[pixels, pixels])
    weights = parts.cell_weights(size)
    columns = graph.node("MatMul", picture, graph.array("colour.columns", weights.T))
    return graph.node("MatMul", graph.array("colour.rows", weights), columns)


def _add_lab(graph: GraphBuilder, cells: str) -> str:
    """The cells in Lab: [n, cells, 3]."""
    rows = graph.node("Transpose", graph.node("Reshape", cells, graph.integers(0, 3, _CELLS)), perm=[0, 2, 1])
    value = graph.node("Mul", rows, graph.number(1 / 255))
    bright = graph.node("Mul", graph.node("Add", value, graph.number(0.055)), graph.number(1 / 1.055))
    linear = graph.node(
        "Where",
        graph.node("Greater", value, graph.number(0.04045)),
        graph.node("Pow", bright, graph.number(2.4)),
        graph.node("Mul", value, graph.number(1 / 12.92)),
    )
    to_xyz = np.array(parts.SRGB_TO_XYZ).T / np.array(parts.D65_WHITE)
    xyz = graph.node("MatMul", linear, graph.array("colour.to_xyz", to_xyz))
    floor = graph.number(parts.LAB_EPSILON)
    root = graph.node(
        "Where",
        graph.node("Greater", xyz, floor),
        graph.node("Pow", graph.node("Max", xyz, floor), graph.number(1 / 3)),
        graph.node("Add", graph.node("Mul", xyz, graph.number(parts.LAB_SLOPE)), graph.number(4 / 29)),
    )
    return graph.linear("colour.to_lab", root, _TO_LAB.T, _LAB_ORIGIN)


def _add_weight(graph: GraphBuilder, lab: str) -> str:
    """What each cell counts: [n, 1, cells]. Its scale falls out in the end."""
    places = _border()
    half = len(places) // 2
    border = graph.node("Gather", lab, graph.array("colour.border", places), axis=1)
    upper, _ = graph.nodes("TopK", border, graph.integers(half + 1), outputs=2, axis=1)
    middle = graph.node("Slice", upper, graph.integers(half - 1), graph.integers(half + 1), graph.integers(1))
    background = graph.node("ReduceMean", middle, graph.integers(1), keepdims=1)  # the median: their number is even
    distance = graph.node("ReduceL2", graph.node("Sub", lab, background), graph.integers(2), keepdims=0)
    beyond = graph.node("Sub", distance, graph.number(parts.FOREGROUND_DISTANCE))
    thing = graph.node("Sigmoid", graph.node("Mul", beyond, graph.number(1 / parts.FOREGROUND_SOFTNESS)))
    weight = graph.node("Mul", thing, graph.array("colour.centre", parts.centre_weights()))
    return graph.node("Unsqueeze", weight, graph.integers(1))


def _add_shares(graph: GraphBuilder, lab: str) -> str:
    """How each cell is shared among the nodes: [n, cells, SIZE].

    A Gaussian of the distance, divided by its sum over the nodes: what of the square depends on the cell alone falls
    out, so it is the softmax of a linear function.
    """
    nodes, variance = parts.colour_nodes().astype(np.float64), parts.COLOUR_SIGMA**2
    logits = graph.linear("colour.nodes", lab, nodes.T / variance, -(nodes**2).sum(1) / 2 / variance)
    return graph.node("Softmax", logits, axis=-1)


def _border() -> npt.NDArray[np.int64]:
    """The places of the outermost cells, corners twice."""
    places = np.arange(_CELLS, dtype=np.int64).reshape(_SIDE, _SIDE)
    return np.concatenate([places[0], places[-1], places[:, 0], places[:, -1]])
