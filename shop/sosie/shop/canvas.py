"""Shapes become shaded pixels.

A shape's edge is drawn four times finer and reduced. Everything else happens at the picture's own size: the surface's
colour, light from the shape's rounded height, and the shadow that it throws on what lies below.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from sosie.shop.curves import Path
from sosie.shop.palette import Rgb
from sosie.shop.patterns import Fabric, Field, Places, Surface

SUPERSAMPLING: Final = 4
LIGHT: Final = np.array([-0.42, -0.58, 0.70], np.float32)
"""Where the light comes from in pixel coordinates: the left, above, and towards the viewer. Unit length."""

Homography = npt.NDArray[np.float64]
"""From product to pixel coordinates, [3, 3]."""

_Box = tuple[slice, slice]


class Canvas:
    """One product in the making: `rgb` [size, size, 3] and `alpha` [size, size], 0..1."""

    def __init__(self, size: int, to_pixels: Homography, seed: int) -> None:
        self.size = size
        self.rgb = np.zeros((size, size, 3), np.float32)
        self.alpha = np.zeros((size, size), np.float32)
        self._to_pixels = to_pixels
        self._scale = math.sqrt(abs(np.linalg.det(to_pixels[:2, :2])))  # pixels per product unit
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:size, :size] + 0.5
        u, v, w = np.linalg.inv(to_pixels) @ np.stack([x.ravel(), y.ravel(), np.ones(size * size)])
        self._u = (u / w).reshape(size, size).astype(np.float32)
        self._v = (v / w).reshape(size, size).astype(np.float32)
        self._wave = smooth_noise(size, size // 7, rng)
        self._grain = rng.standard_normal((size, size), np.float32).clip(-2, 2) / 2

    def fill(
        self,
        path: Path,
        surface: Surface | Rgb,
        *,
        rounding: float = 0.02,
        depth: float = 1.0,
        gloss: float = 0.0,
        lift: float = 0.35,
        clip: Field | None = None,
    ) -> Field:
        """Lays a shape over what is there; answers its mask, [size, size] of 0..1.

        `rounding` is how far from the edge the shape bends away, in product units, `depth` how strongly; `gloss` (0..1)
        lets it shine, `lift` (0..1) is the strength of its shadow on what lies below. `clip` is a mask to stay within.
        """
        mask = self.mask(path)
        if clip is not None:
            mask *= clip
        spread = max(rounding * self._scale, 1.0)
        box = _bounds(mask, round(3 * spread) + 4)
        if box is None:
            return mask
        part = mask[box]
        if lift > 0:
            self._shade_below(part, box, lift)
        places = Places(self._u[box], self._v[box], self._wave[box], self._grain[box], 1 / self._scale)
        source: Surface = surface if not isinstance(surface, tuple) else Fabric(surface, surface)
        colour = _lit(source.paint(places), blur(part, spread) * np.float32(depth * spread), gloss)
        cover = part[..., None]
        self.rgb[box] = self.rgb[box] * (1 - cover) + colour * cover
        self.alpha[box] = np.maximum(self.alpha[box], part)
        return mask

    def line(self, path: Path, width: float, colour: Rgb, *, strength: float = 1.0, clip: Field | None = None) -> None:
        """Draws a thin line of that width over what is there: a seam, a lace, a stitch."""
        cover = (self._line_mask(path, width) * (strength if clip is None else strength * clip))[..., None]
        self.rgb = self.rgb * (1 - cover) + np.float32(colour) * cover
        self.alpha = np.maximum(self.alpha, cover[..., 0])

    def dashes(self, path: Path, width: float, colour: Rgb, *, strength: float = 0.8) -> None:
        """A row of stitches along a line."""
        for start in range(0, len(path) - 1, 2):
            self.line(path[start : start + 2], width, colour, strength=strength)

    def crease(self, path: Path, width: float, strength: float, *, clip: Field | None = None) -> None:
        """A soft fold along a line: darker on it, lighter beside it, only where there is something already."""
        spread = max(width * self._scale, 1.0)
        fold = blur(self._line_mask(path, width), spread)
        ridge = np.roll(fold, (-round(spread), -round(spread)), (0, 1))
        change = (ridge * np.float32(0.5) - fold) * np.float32(strength) * self.alpha
        if clip is not None:
            change = change * clip
        self.rgb *= (1 + change)[..., None]

    def glow(self, path: Path, strength: float, spread: float, *, clip: Field | None = None) -> None:
        """Lightens (or, below 0, darkens) a soft-edged region."""
        cover = blur(self.mask(path), max(spread * self._scale, 1.0)) * (self.alpha if clip is None else clip)
        self.rgb += (cover * np.float32(strength))[..., None] * (1 - self.rgb if strength > 0 else self.rgb)

    def mask(self, path: Path) -> Field:
        """How much of each pixel a closed outline covers."""
        sheet = Image.new("L", (self.size * SUPERSAMPLING, self.size * SUPERSAMPLING))
        ImageDraw.Draw(sheet).polygon(self._sheet_points(path), fill=255)
        return _reduced(sheet)

    def _line_mask(self, path: Path, width: float) -> Field:
        sheet = Image.new("L", (self.size * SUPERSAMPLING, self.size * SUPERSAMPLING))
        pixels = max(1, round(width * self._scale * SUPERSAMPLING))
        ImageDraw.Draw(sheet).line(self._sheet_points(path), fill=255, width=pixels, joint="curve")
        return _reduced(sheet)

    def _sheet_points(self, path: Path) -> list[tuple[float, float]]:
        x, y, w = self._to_pixels @ np.stack([path[:, 0], path[:, 1], np.ones(len(path))])
        return list(zip((x / w * SUPERSAMPLING).tolist(), (y / w * SUPERSAMPLING).tolist(), strict=True))

    def _shade_below(self, part: Field, box: _Box, lift: float) -> None:
        spread = max(0.012 * self._scale, 1.0)
        moved = np.roll(blur(part, spread), (round(spread), round(spread / 2)), (0, 1))
        self.rgb[box] *= (1 - np.float32(lift) * moved * (1 - part))[..., None]


def blur(field: Field, spread: float) -> Field:
    """A near-Gaussian blur with the standard deviation `spread` in pixels: three box blurs (Wells 1986)."""
    radius = max(1, round((math.sqrt(4 * spread * spread + 1) - 1) / 2))
    for _ in range(3):
        field = _box_blur(_box_blur(field, radius).T, radius).T
    return field


def smooth_noise(size: int, period: int, rng: np.random.Generator) -> Field:
    """Noise of -1..1 that changes over about `period` pixels, [size, size]."""
    cells = size // max(period, 1) + 3
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float32)


def _box_blur(field: Field, radius: int) -> Field:
    """Means over 2 radius + 1 rows; outside the field there is 0."""
    sums = np.cumsum(np.pad(field, ((radius + 1, radius), (0, 0))), axis=0, dtype=np.float32)
    return (sums[2 * radius + 1 :] - sums[: -2 * radius - 1]) / np.float32(2 * radius + 1)


def _lit(colour: npt.NDArray[np.float32], height: Field, gloss: float) -> npt.NDArray[np.float32]:
    """The surface under LIGHT: Lambert's cosine, relative to a surface that faces the viewer, and a Blinn highlight."""
    slope_y, slope_x = np.gradient(height)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    facing = (-slope_x * LIGHT[0] - slope_y * LIGHT[1] + LIGHT[2]) / length
    shade = np.clip(facing / LIGHT[2], 0.35, 1.3)[..., None]
    lit = colour * (np.float32(0.25) + np.float32(0.75) * shade) + np.float32(0.05) * (shade - 1).clip(0)
    if gloss > 0:
        half = LIGHT + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        towards = (-slope_x * half[0] - slope_y * half[1] + half[2]) / length
        lit = lit + np.float32(gloss) * (np.clip(towards, 0, 1) ** 40)[..., None]
    return lit.clip(0, 1)


def _reduced(sheet: Image.Image) -> Field:
    return np.asarray(sheet.reduce(SUPERSAMPLING), np.float32) / np.float32(255)


def _bounds(mask: Field, margin: int) -> _Box | None:
    """The region around a mask's pixels, with a margin, inside the canvas; None where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    return slice(top, rows[-1] + margin + 1), slice(left, columns[-1] + margin + 1)
