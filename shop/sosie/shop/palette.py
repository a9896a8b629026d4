"""The colours that products come in."""

from collections import Counter
from functools import cache
from itertools import combinations
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Rgb: TypeAlias = tuple[float, float, float]
"""sRGB, each 0..1."""


def _rgb(code: str) -> Rgb:
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


COLOURS: Final[dict[str, Rgb]] = {
    "black": _rgb("232326"),
    "white": _rgb("f3f2ee"),
    "red": _rgb("c4232b"),
    "blue": _rgb("2450a8"),
    "green": _rgb("2c7a46"),
    "yellow": _rgb("f0c428"),
    "brown": _rgb("70452a"),
    "grey": _rgb("8a8e92"),
    "pink": _rgb("ee96b4"),
    "purple": _rgb("6c3c96"),
    "orange": _rgb("ec7624"),
    "beige": _rgb("d8c29c"),
}

MIN_PAIR_DISTANCE: Final = 45.0
"""Two colours of one product differ by at least this much in CIELAB, so that a pattern of them is plain to see."""

MIN_PAIR_LIGHTNESS: Final = 18.0
"""And by this much in lightness alone (L, 0..100): red stripes on purple are a blur in a small picture."""

_PAIRS: Final = 33  # more would be black and white with everything else

# sRGB with the white D65 to CIE XYZ, relative to that white (IEC 61966-2-1).
_TO_XYZ: Final = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) / np.array(
    [[0.9505], [1.0], [1.089]]
)


def lab(rgb: Rgb) -> npt.NDArray[np.float64]:
    """A colour in CIELAB: [L 0..100, a, b]."""
    values = np.asarray(rgb, np.float64)
    linear = np.where(
        values <= 0.04045,  # noqa: PLR2004 - IEC 61966-2-1
        values / 12.92,
        ((values + 0.055) / 1.055) ** 2.4,
    )
    xyz = _TO_XYZ @ linear
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@cache
def distance(one: Rgb, other: Rgb) -> float:
    """How far two colours are apart in CIELAB: 0 (the same) to about 100 (black and white)."""
    return float(np.linalg.norm(lab(one) - lab(other)))


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """The colour between two: `share` 0 is the first, 1 the other."""
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def darker(rgb: Rgb, share: float) -> Rgb:
    """A colour with `share` (0..1) of its light taken away."""
    return mix(rgb, (0.0, 0.0, 0.0), share)


def lighter(rgb: Rgb, share: float) -> Rgb:
    """A colour that is `share` (0..1) of the way to white."""
    return mix(rgb, (1.0, 1.0, 1.0), share)


def is_dark(rgb: Rgb) -> bool:
    """Whether light details stand out on a colour better than dark ones."""
    return float(lab(rgb)[0]) < 60  # noqa: PLR2004 - of 0..100, a little above a middle grey


def accent(rgb: Rgb) -> Rgb:
    """The same colour a little lighter where it is dark, darker where it is light: for seams and small parts."""
    return lighter(rgb, 0.22) if lab(rgb)[0] < 35 else darker(rgb, 0.3)  # noqa: PLR2004 - of 0..100: black, navy


def colour_pairs() -> list[tuple[str, str]]:
    """Pairs of colours for one product, the main one first: black and white, then the rest.

    Each next pair is the one whose colours have been used least so far, so that every stretch of the list has all
    colours about equally often. Every other pair has its lighter colour first.
    """
    left = [pair for pair in combinations(COLOURS, 2) if _go_together(COLOURS[pair[0]], COLOURS[pair[1]])]
    used = Counter[str]()
    pairs: list[tuple[str, str]] = []
    while len(pairs) < _PAIRS:
        best = min(left, key=lambda pair: (used[pair[0]] + used[pair[1]], max(used[pair[0]], used[pair[1]])))
        left.remove(best)
        used.update(best)
        pairs.append(best if len(pairs) % 2 == 0 else (best[1], best[0]))
    return pairs


def _go_together(one: Rgb, other: Rgb) -> bool:
    lightness = abs(float(lab(one)[0] - lab(other)[0]))
    return lightness >= MIN_PAIR_LIGHTNESS and distance(one, other) >= MIN_PAIR_DISTANCE
