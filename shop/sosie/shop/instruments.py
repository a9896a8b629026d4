"""Watch and glasses: things of metal and glass."""

import math
from dataclasses import dataclass

import numpy as np

from sosie.shop.canvas import Canvas
from sosie.shop.curves import band, box, closed, corner, ellipse, mirrored, opened, upside_down
from sosie.shop.design import METAL, Design
from sosie.shop.palette import Rgb, darker, is_dark
from sosie.shop.patterns import Paint, Places

# The nodes of an outline read as rows; the formatter would give each a line.
# fmt: off


def draw_watch(canvas: Canvas, design: Design) -> None:
    """A wrist watch on its strap: case, crown, dial with hour marks, hands, buckle holes."""
    cut = design.cut
    radius = cut.between("radius", 0.16, 0.185)
    steel = METAL if cut.has("gold", 0.35) else (0.78, 0.79, 0.81)
    metal = (0.83, 0.68, 0.40) if steel == METAL else steel
    wide = radius * 1.55  # a broad fabric strap: its pattern is half of what one sees of the watch
    for flip in (False, True):
        strap = closed(
            corner(0.5 - wide / 2, 0.42), (0.5 - wide * 0.49, 0.3), (0.5 - wide * 0.42, 0.12),
            corner(0.5 - wide * 0.4, 0.04), (0.5, 0.025), corner(0.5 + wide * 0.4, 0.04),
            (0.5 + wide * 0.42, 0.12), (0.5 + wide * 0.49, 0.3), corner(0.5 + wide / 2, 0.42),
        )
        path = strap if not flip else upside_down(strap)
        canvas.fill(path, design.fabric.scaled(1.25), rounding=0.035, depth=1.3)
        for side in (-0.36, 0.36):
            seam = opened((0.5 + wide * side, 0.06), (0.5 + wide * side * 1.1, 0.2), (0.5 + wide * side * 1.2, 0.32))
            canvas.dashes(seam if not flip else upside_down(seam), 0.005, design.seam)
    for y in (0.79, 0.835, 0.88, 0.925):
        canvas.fill(ellipse(0.5, y, 0.009, 0.012), darker(design.main, 0.7), rounding=0.004, lift=0)
    canvas.fill(box(0.5 - wide * 0.47, 0.065, 0.5 + wide * 0.47, 0.115, 0.012), metal, rounding=0.014, gloss=0.5)
    canvas.fill(
        box(0.5 - wide * 0.37, 0.078, 0.5 + wide * 0.37, 0.1, 0.004), darker(design.main, 0.4), rounding=0.006, lift=0
    )
    for x in (-1, 1):
        for y in (-1, 1):
            lug = band(
                opened(
                    (0.5 + x * wide * 0.46, 0.5 + y * radius * 0.7), (0.5 + x * wide * 0.5, 0.5 + y * radius * 1.17)
                ),
                0.045,
                0.03,
            )
            canvas.fill(lug, metal, rounding=0.014, gloss=0.4)
    canvas.fill(box(0.5 + radius * 0.97, 0.475, 0.5 + radius * 1.14, 0.525, 0.012), metal, rounding=0.012, gloss=0.5)
    canvas.fill(ellipse(0.5, 0.5, radius), metal, rounding=0.022, depth=1.4, gloss=0.5, lift=0.55)
    _draw_dial(canvas, design, radius, metal)


def _draw_dial(canvas: Canvas, design: Design, radius: float, metal: Rgb) -> None:
    cut = design.cut
    dial = (0.95, 0.945, 0.925) if cut.has("pale", 0.75) else (0.13, 0.14, 0.17)
    if design.panel != design.main:
        dial = design.panel
    ink = (0.93, 0.92, 0.88) if is_dark(dial) else (0.12, 0.12, 0.13)
    canvas.fill(ellipse(0.5, 0.5, radius * 0.86), darker(dial, 0.25), rounding=0.006, lift=0)
    canvas.fill(ellipse(0.5, 0.5, radius * 0.82), dial, rounding=0.01, depth=0.3, lift=0)
    for hour in range(12):
        sine, cosine = math.sin(hour * math.pi / 6), -math.cos(hour * math.pi / 6)
        inner = 0.62 if hour % 3 == 0 else 0.68
        mark = opened(
            (0.5 + radius * inner * sine, 0.5 + radius * inner * cosine),
            (0.5 + radius * 0.77 * sine, 0.5 + radius * 0.77 * cosine),
        )
        canvas.line(mark, 0.012 if hour % 3 == 0 else 0.006, ink)
    if cut.has("chrono", 0.4):
        for x, y in ((-0.32, 0.0), (0.32, 0.0), (0.0, 0.34)):
            canvas.fill(
                ellipse(0.5 + radius * x, 0.5 + radius * y, radius * 0.19), darker(dial, 0.12), rounding=0.006, lift=0
            )
            canvas.line(
                opened((0.5 + radius * x, 0.5 + radius * y), (0.5 + radius * (x + 0.07), 0.5 + radius * (y - 0.12))),
                0.004,
                ink,
            )
    red = (0.78, 0.2, 0.16)
    for angle, length, width, colour in ((-1.05, 0.45, 0.014, ink), (1.05, 0.68, 0.010, ink), (2.7, 0.7, 0.004, red)):
        tip = (0.5 + radius * length * math.sin(angle), 0.5 - radius * length * math.cos(angle))
        canvas.line(opened((0.5, 0.5), tip), width, colour)
    canvas.fill(ellipse(0.5, 0.5, 0.011), metal, rounding=0.005, gloss=0.4)
    glass = closed(
        (0.5 - radius * 0.66, 0.5 - radius * 0.2), (0.5 - radius * 0.3, 0.5 - radius * 0.68),
        (0.5 + radius * 0.1, 0.5 - radius * 0.74), (0.5 - radius * 0.3, 0.5 - radius * 0.1),
    )
    canvas.glow(glass, 0.16, 0.012)


def draw_glasses(canvas: Canvas, design: Design) -> None:
    """Spectacles or sunglasses from the front: two rims, the bridge, folded temples."""
    cut = design.cut
    dark = cut.has("sun", 0.5)
    tall = cut.between("tall", 0.14, 0.165)
    square = cut.between("square", 0.0, 0.035)
    thick = cut.between("thick", 1.0, 1.25)
    y = 0.49
    for flip in (False, True):
        temple = opened((0.085, 0.44), (0.12, 0.40), (0.24, 0.375), (0.5, 0.4))
        canvas.fill(
            band(mirrored(temple) if flip else temple, 0.032, 0.018),
            darker(design.panel, 0.3),
            rounding=0.01,
            gloss=0.2,
        )
    bridge = closed(
        (0.4, y - tall * 0.68), (0.5, y - tall * 0.8), (0.6, y - tall * 0.68), (0.6, y - tall * 0.2),
        (0.56, y - tall * 0.38), (0.5, y - tall * 0.46), (0.44, y - tall * 0.38), (0.4, y - tall * 0.2),
    )
    canvas.fill(bridge, design.fabric, rounding=0.014, depth=0.9, gloss=0.25)
    for flip in (False, True):
        rim = closed(
            (0.25, y - tall - 0.01), (0.12 - square, y - tall * 0.88 - square * 0.4), (0.072, y - tall * 0.25),
            (0.11, y + tall * 0.6), (0.24, y + tall), (0.37, y + tall * 0.65), (0.432, y - tall * 0.2),
            (0.392 + square * 0.6, y - tall * 0.85 - square * 0.3),
        )
        middle = rim.mean(axis=0)
        lens = middle + (rim - middle) * (1 - 0.34 * thick, 1 - 0.38 * thick)
        outer = mirrored(rim) if flip else rim
        inner = mirrored(lens) if flip else lens
        canvas.fill(outer, _Browline(design, y), rounding=0.016, depth=1.2, gloss=0.3)
        glass = (0.36, 0.36, 0.39) if dark else (0.86, 0.9, 0.92)
        mask = canvas.fill(inner, glass, rounding=0.008, depth=0.5, lift=0)
        if dark:
            x = 0.75 if flip else 0.25
            canvas.glow(closed((x - 0.1, y + 0.08), (x, y + 0.16), (x + 0.12, y + 0.08)), 0.28, 0.04, clip=mask)
        x = 0.68 if flip else 0.18
        shine = band(opened((x - 0.03, y + 0.09), (x + 0.075, y - 0.12)), 0.035)
        canvas.glow(shine, 0.3 if dark else 0.65, 0.006, clip=mask)
    for x in (0.105, 0.895):
        canvas.fill(box(x - 0.022, y - 0.075, x + 0.022, y - 0.05, 0.008), METAL, rounding=0.006, gloss=0.4, lift=0.2)


@dataclass(frozen=True)
class _Browline:
    """A frame whose lower half is in the panel's colour, with a soft edge at the height `at`."""

    design: Design
    at: float

    def paint(self, places: Places) -> Paint:
        upper = self.design.fabric.paint(places)
        if self.design.panel == self.design.main:
            return upper
        lower = np.clip((places.v - np.float32(self.at)) / np.float32(0.01), 0, 1)[..., None]
        mixed: Paint = upper * (1 - lower) + np.array(self.design.panel, np.float32) * lower
        return mixed
