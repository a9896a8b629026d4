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
from sosie.shop.patterns import Fabric, Field, Paint, Places, Surface

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
        spread = max(rounding * self._scale, 1.0)
        box, part = self._cover(path, margin=3 * spread + 4)
        if clip is not None:
            part = part * clip[box]
        if lift > 0:
            self._shade_below(part, box, lift)
        places = Places(self._u[box], self._v[box], self._wave[box], self._grain[box], 1 / self._scale)
        source: Surface = surface if not isinstance(surface, tuple) else Fabric(surface, surface)
        colour = _lit(source.paint(places), blur(part, spread) * np.float32(depth * spread), gloss)
        self._lay(colour, part, box)
        mask = np.zeros_like(self.alpha)
        mask[box] = part
        return mask

    def line(self, path: Path, width: float, colour: Rgb, *, strength: float = 1.0, clip: Field | None = None) -> None:
        """Draws a thin line of that width over what is there: a seam, a lace, a stitch."""
        box, part = self._cover(path, width=width)
        self._lay(np.array(colour, np.float32), part * np.float32(strength) * (1 if clip is None else clip[box]), box)

    def dashes(self, path: Path, width: float, colour: Rgb, *, strength: float = 0.8) -> None:
        """A row of stitches along a line."""
        for start in range(0, len(path) - 1, 2):
            self.line(path[start : start + 2], width, colour, strength=strength)

    def crease(self, path: Path, width: float, strength: float, *, clip: Field | None = None) -> None:
        """A soft fold along a line: darker on it, lighter beside it, only where there is something already."""
        spread = max(width * self._scale, 1.0)
        box, part = self._cover(path, width=width, margin=5 * spread)
        fold = blur(part, spread)
        ridge = np.roll(fold, (-round(spread), -round(spread)), (0, 1))
        change = (ridge * np.float32(0.5) - fold) * np.float32(strength) * (self.alpha if clip is None else clip)[box]
        self.rgb[box] *= (1 + change)[..., None]

    def glow(self, path: Path, strength: float, spread: float, *, clip: Field | None = None) -> None:
        """Lightens (or, below 0, darkens) a soft-edged region."""
        pixels = max(spread * self._scale, 1.0)
        box, part = self._cover(path, margin=3 * pixels)
        cover = (blur(part, pixels) * (self.alpha if clip is None else clip)[box])[..., None] * np.float32(strength)
        below = self.rgb[box]
        self.rgb[box] = below + cover * (1 - below if strength > 0 else below)

    def _cover(self, path: Path, *, width: float | None = None, margin: float = 1.0) -> tuple[_Box, Field]:
        """How much a closed outline (or, with a width, a line) covers of each pixel: of the region around it alone."""
        x, y, w = self._to_pixels @ np.stack([path[:, 0], path[:, 1], np.ones(len(path))])
        points = np.stack([x / w, y / w], axis=1)
        pixels = 0.0 if width is None else width * self._scale
        low = np.clip(np.floor(points.min(axis=0) - margin - pixels), 0, self.size - 1).astype(int)
        high = np.clip(np.ceil(points.max(axis=0) + margin + pixels), low + 1, self.size).astype(int)
        across, down = ((high - low) * SUPERSAMPLING).tolist()
        sheet = Image.new("L", (across, down))
        outline = [(x, y) for x, y in ((points - low) * SUPERSAMPLING).tolist()]
        if width is None:
            ImageDraw.Draw(sheet).polygon(outline, fill=255)
        else:
            thick = max(1, round(pixels * SUPERSAMPLING))
            ImageDraw.Draw(sheet).line(outline, fill=255, width=thick, joint="curve")
        part = np.asarray(sheet.reduce(SUPERSAMPLING), np.float32) / np.float32(255)
        return (slice(low[1], high[1]), slice(low[0], high[0])), part

    def _lay(self, colour: Paint, part: Field, box: _Box) -> None:
        """Puts a colour, or one per pixel, over what is there."""
        cover = part[..., None]
        self.rgb[box] = self.rgb[box] * (1 - cover) + colour * cover
        self.alpha[box] = np.maximum(self.alpha[box], part)

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


def _lit(colour: Paint, height: Field, gloss: float) -> Paint:
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
    clipped: Paint = lit.clip(0, 1)
    return clipped
