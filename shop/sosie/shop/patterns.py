"""Surfaces: plain, striped, dotted and checked, with the grain of a cloth or of leather."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from sosie.shop.palette import Rgb

# Not NDArray[float32]: NumPy's stubs lose the precise type in almost every operation.
Field: TypeAlias = npt.NDArray[Any]
"""A number per pixel, float32, shape [height, width]."""

Paint: TypeAlias = npt.NDArray[Any]
"""A colour per pixel, float32, shape [height, width, 3], sRGB 0..1."""


class Pattern(StrEnum):
    PLAIN = "plain"
    STRIPED = "striped"
    DOTTED = "dotted"
    CHECKED = "checked"


class Texture(StrEnum):
    SMOOTH = "smooth"
    WOVEN = "woven"
    KNIT = "knit"
    DENIM = "denim"
    LEATHER = "leather"


@dataclass(frozen=True)
class Places:
    """Where on the product the pixels of a region lie.

    `u` and `v` are product coordinates, `wave` a slow noise of -1..1 that cloth hangs in, `grain` a fine one, `pixel`
    the size of one pixel in product coordinates: what a pattern's edges are softened by.
    """

    u: Field
    v: Field
    wave: Field
    grain: Field
    pixel: float


class Surface(Protocol):
    """Gives each pixel its colour before light falls on it."""

    def paint(self, places: Places) -> Paint: ...


@dataclass(frozen=True)
class Fabric:
    """A material in one or two colours.

    `period` is the distance between stripes, dots or checks in product coordinates; `share` of it is the second
    colour. `angle` (radians) turns the pattern, `bow` bends it as a body would, `wave` lets it hang.
    """

    main: Rgb
    second: Rgb
    pattern: Pattern = Pattern.PLAIN
    period: float = 0.08
    share: float = 0.5
    angle: float = 0.0
    bow: float = 0.0
    wave: float = 0.006
    texture: Texture = Texture.SMOOTH

    def turned(self, angle: float) -> Self:
        """The same fabric with its pattern turned by `angle` radians."""
        return replace(self, angle=self.angle + angle, bow=0.0)

    def scaled(self, factor: float) -> Self:
        """The same fabric with a finer or coarser pattern."""
        return replace(self, period=self.period * factor)

    def paint(self, places: Places) -> Paint:
        """Colours of the pattern, with the texture's grain."""
        second = self._second_share(places)[..., None]
        main, other = np.array(self.main, np.float32), np.array(self.second, np.float32)
        colour: Paint = main + second * (other - main)
        colour *= (1 + _grain(self.texture, places))[..., None]
        return colour

    def _second_share(self, at: Places) -> Field:
        """How much of each pixel is in the second colour, 0..1."""
        if self.pattern is Pattern.PLAIN:
            return np.zeros_like(at.u)
        bent = at.v + np.float32(self.bow) * (at.u - np.float32(0.5)) ** 2 + np.float32(self.wave) * at.wave
        sway = at.u + np.float32(self.wave) * at.wave
        sine, cosine = np.float32(math.sin(self.angle)), np.float32(math.cos(self.angle))
        across, along = sway * cosine + bent * sine, bent * cosine - sway * sine
        if self.pattern is Pattern.STRIPED:
            return self._bars(along, at.pixel)
        if self.pattern is Pattern.CHECKED:
            return (self._bars(along, at.pixel) + self._bars(across, at.pixel)) / 2
        return self._dots(across, along, at.pixel)

    def _bars(self, along: Field, pixel: float) -> Field:
        gap = np.abs(np.mod(along / np.float32(self.period), 1) - np.float32(0.5)) * np.float32(self.period)
        return _softened(np.float32(self.share * self.period / 2) - gap, pixel)

    def _dots(self, across: Field, along: Field, pixel: float) -> Field:
        """Dots in rows, every other row moved by half a period. Area share: pi r² per period²."""
        period = np.float32(self.period)
        row = np.floor(along / period)
        x = (np.mod(across / period + row / 2, 1) - np.float32(0.5)) * period
        y = (np.mod(along / period, 1) - np.float32(0.5)) * period
        radius = self.period * math.sqrt(0.7 * self.share / math.pi)
        return _softened(np.float32(radius) - np.hypot(x, y), pixel)


def _softened(inside: Field, pixel: float) -> Field:
    """How much of a pixel is inside, from its middle's distance to the edge."""
    covered: Field = (inside / np.float32(pixel) + np.float32(0.5)).clip(0, 1)
    return covered


def _grain(texture: Texture, at: Places) -> Field:
    """How much lighter or darker the texture makes each pixel, about -0.1..0.1."""
    turn = np.float32(2 * math.pi)
    grain: Field = np.float32(0.01) * at.grain
    match texture:
        case Texture.KNIT:  # rows of small V-shaped stitches
            zigzag = np.abs(np.mod(at.u * 46, 1) - np.float32(0.5))
            stitches = np.sin((at.v * 62 + zigzag * np.float32(0.9)) * turn)
            grain = np.float32(0.05) * stitches + np.float32(0.02) * at.grain
        case Texture.DENIM:
            grain = np.float32(0.05) * np.sin((at.u + at.v) * 85 * turn) + np.float32(0.07) * at.grain
        case Texture.WOVEN:
            grain = np.float32(0.045) * at.grain
        case Texture.LEATHER:
            grain = np.float32(0.03) * at.wave + np.float32(0.03) * at.grain
        case Texture.SMOOTH:
            pass
    return grain
