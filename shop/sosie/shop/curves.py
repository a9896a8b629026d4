"""Outlines from a few nodes. Product coordinates: 0..1 in both directions, y points down."""

import math
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Path: TypeAlias = npt.NDArray[np.float64]
"""Points of a polygon or of a line, shape [n, 2]."""

Node: TypeAlias = tuple[float, float] | tuple[float, float, str]
"""A point that a curve goes through smoothly; with a third element, CORNER, it turns sharply there."""

CORNER: Final = "corner"
_STEPS: Final = 10


def corner(x: float, y: float) -> Node:
    """A node where the curve turns sharply."""
    return (x, y, CORNER)


def closed(*nodes: Node) -> Path:
    """The closed outline through all nodes."""
    corners = [i for i, node in enumerate(nodes) if len(node) > 2]  # noqa: PLR2004 - the third element is CORNER
    if not corners:
        points = _points(nodes)
        return _spline(np.vstack([points[-1], points, points[:2]]))
    turned = [*nodes[corners[0] :], *nodes[: corners[0]], nodes[corners[0]]]
    return opened(*turned)


def opened(*nodes: Node) -> Path:
    """The line through all nodes, from the first to the last."""
    ends = [i for i, node in enumerate(nodes) if len(node) > 2 and 0 < i < len(nodes) - 1]  # noqa: PLR2004 - as above
    pieces = []
    for start, end in zip([0, *ends], [*ends, len(nodes) - 1], strict=True):
        points = _points(nodes[start : end + 1])
        before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
        pieces.append(_spline(np.vstack([before, points, after])))
    return np.vstack(pieces)


def ellipse(x: float, y: float, radius_x: float, radius_y: float | None = None) -> Path:
    """An ellipse around (x, y); a circle without `radius_y`."""
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    return np.stack([x + radius_x * np.cos(angles), y + (radius_y or radius_x) * np.sin(angles)], axis=1)


def box(left: float, top: float, right: float, bottom: float, rounding: float = 0.0) -> Path:
    """A rectangle, its corners rounded with the radius `rounding`."""
    r = min(rounding, (right - left) / 2, (bottom - top) / 2)
    arc = np.linspace(0, math.pi / 2, 8) if r > 0 else np.zeros(1)
    centres = ((right - r, bottom - r, 0), (left + r, bottom - r, 1), (left + r, top + r, 2), (right - r, top + r, 3))
    return np.vstack(
        [
            np.stack([x + r * np.cos(arc + turn * math.pi / 2), y + r * np.sin(arc + turn * math.pi / 2)], axis=1)
            for x, y, turn in centres
        ]
    )


def mirrored(path: Path, axis: float = 0.5) -> Path:
    """The path on the other side of the vertical line x = `axis`."""
    return np.stack([2 * axis - path[:, 0], path[:, 1]], axis=1)


def upside_down(path: Path, axis: float = 0.5) -> Path:
    """The path on the other side of the horizontal line y = `axis`."""
    return np.stack([path[:, 0], 2 * axis - path[:, 1]], axis=1)


def moved(path: Path, x: float, y: float) -> Path:
    """The path, moved to the right and down."""
    place: Path = path + np.array([x, y])
    return place


def band(line: Path, width: float, end_width: float | None = None) -> Path:
    """The outline of a ribbon along a line; it may narrow or widen towards its end."""
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    half = np.linspace(width, end_width if end_width is not None else width, len(line))[:, None] / 2
    return np.vstack([line + across * half, (line - across * half)[::-1]])


def points_along(line: Path, count: int) -> list[tuple[float, float]]:
    """`count` points at equal distances along a line, its ends included."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], count)
    return [(float(np.interp(a, lengths, line[:, 0])), float(np.interp(a, lengths, line[:, 1]))) for a in at]


def _points(nodes: Iterable[Node] | Sequence[Node]) -> Path:
    return np.array([node[:2] for node in nodes], np.float64)


def _spline(points: Path) -> Path:
    """Catmull-Rom through all points but the first and the last, which only give the direction at the ends."""
    t = np.linspace(0, 1, _STEPS, endpoint=False)[:, None]
    basis = np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]) / 2
    pieces = [basis @ points[i : i + 4] for i in range(len(points) - 3)]
    return np.vstack([*pieces, points[-2:-1]])
