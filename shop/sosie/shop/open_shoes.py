"""Sandals from above, and a heel from the side, its toe to the right."""

from dataclasses import dataclass

from sosie.shop.canvas import Canvas
from sosie.shop.curves import Path, band, box, closed, corner, ellipse, mirrored, moved, opened
from sosie.shop.design import METAL, Design
from sosie.shop.palette import darker, lighter

# The nodes of an outline read as rows; the formatter would give each a line.
# fmt: off


def draw_sandal(canvas: Canvas, design: Design) -> None:
    """A pair of flat sandals from above: cork footbeds, two broad straps with buckles, one around the heel."""
    cut = design.cut
    wide = cut.between("wide", 1.15, 1.3)
    broad = cut.between("broad", 0.135, 0.165)
    round_heel = cut.has("heel", 0.6)
    for flip in (False, True):
        _draw_sandal(canvas, design, _Foot(wide, flip=flip), broad, round_heel=round_heel)


@dataclass(frozen=True)
class _Foot:
    """Places a path that is drawn around x = 0 under one foot; `wide` stretches it."""

    wide: float
    flip: bool

    def place(self, path: Path) -> Path:
        right = path * (self.wide, 1) + (0.71, 0)
        return mirrored(right) if self.flip else right


def _draw_sandal(canvas: Canvas, design: Design, foot: _Foot, broad: float, *, round_heel: bool) -> None:
    cork = (0.74, 0.58, 0.40)
    outline = closed(
        (-0.05, 0.075), (0.03, 0.088), (0.1, 0.16), (0.132, 0.27), (0.122, 0.4), (0.102, 0.55), (0.108, 0.72),
        (0.097, 0.85), (0.03, 0.92), (-0.05, 0.91), (-0.1, 0.84), (-0.108, 0.72), (-0.086, 0.57), (-0.104, 0.42),
        (-0.128, 0.27), (-0.115, 0.15),
    )
    middle = outline.mean(axis=0)
    canvas.fill(foot.place(outline), darker(cork, 0.45), rounding=0.02, depth=1.2)
    canvas.fill(foot.place(middle + (outline - middle) * (0.93, 0.975)), cork, rounding=0.03, depth=0.8, lift=0)
    canvas.fill(
        foot.place(middle + (outline - middle) * (0.8, 0.93)), lighter(cork, 0.3), rounding=0.03, depth=0.5, lift=0.2
    )
    canvas.glow(foot.place(ellipse(0, 0.76, 0.06, 0.09)), -0.14, 0.03)
    canvas.glow(foot.place(ellipse(0, 0.24, 0.08, 0.08)), -0.14, 0.03)
    if round_heel:
        heel = opened(
            (-0.098, 0.55), (-0.112, 0.7), (-0.09, 0.83), (0.0, 0.885), (0.09, 0.83), (0.112, 0.7), (0.108, 0.55)
        )
        canvas.fill(foot.place(band(heel, 0.034)), design.panel_cloth(), rounding=0.014, lift=0.6)
    slant = -0.12 if foot.flip else 0.12
    patterned = design.fabric.scaled(0.85).turned(slant)
    front = patterned if design.panel == design.main else design.panel_cloth()
    for top, surface, narrow in ((0.235, front, 1.0), (0.47, patterned, 0.86)):
        strap = closed(
            corner(-0.142, top + 0.03), (-0.08, top - 0.008), (0.02, top - 0.01), (0.1, top + 0.02),
            corner(0.15, top + 0.07), (0.152, top + 0.13), corner(0.146, top + 0.07 + broad),
            (0.09, top + broad + 0.015), (0.0, top + broad - 0.01), (-0.09, top + broad + 0.005),
            corner(-0.14, top + broad + 0.03), (-0.146, top + 0.1),
        )
        canvas.fill(foot.place(strap * (narrow, 1)), surface, rounding=0.035, depth=1.2, lift=0.7)
        x, y = 0.085 * narrow, top + 0.05 + broad / 2
        canvas.fill(
            foot.place(box(x - 0.026, y - 0.036, x + 0.026, y + 0.036, 0.008)), METAL, rounding=0.008, gloss=0.5
        )
        canvas.fill(
            foot.place(box(x - 0.015, y - 0.022, x + 0.015, y + 0.022, 0.004)),
            darker(design.main, 0.35),
            rounding=0.006,
            lift=0,
        )
        canvas.line(foot.place(opened((x - 0.02, y), (x + 0.02, y))), 0.008, METAL)


def draw_heel(canvas: Canvas, design: Design) -> None:
    """A pump with a high heel, cut low at the sides."""
    cut = design.cut
    stem = cut.between("stem", 0.015, 0.045)
    back = cut.between("back", 0.355, 0.385)
    side = cut.between("side", 0.0, 0.02)
    canvas.fill(  # the far side, seen over the near one
        closed(
            corner(0.108, back + 0.01), (0.17, back), (0.3, 0.445), (0.45, 0.55), (0.57, 0.595),
            corner(0.665, 0.605), (0.6, 0.68), (0.4, 0.6), (0.2, 0.47),
        ),
        darker(lighter((0.72, 0.58, 0.44), 0.2), 0.12),
        depth=0.6,
        rounding=0.03,
    )
    canvas.fill(  # the heel
        closed(
            corner(0.102, 0.48), (0.115, 0.56), (0.138, 0.66), (0.15, 0.76), corner(0.152, 0.815),
            corner(0.158 + stem * 1.4, 0.815), (0.17 + stem * 1.5, 0.74), (0.205 + stem, 0.655),
            (0.265 + stem, 0.61), corner(0.35, 0.625), corner(0.24, 0.48),
        ),
        design.panel,
        rounding=0.026,
        depth=1.2,
        gloss=0.2,
    )
    canvas.fill(box(0.15, 0.808, 0.16 + stem * 1.4, 0.828, 0.003), (0.15, 0.13, 0.13), rounding=0.004, lift=0)
    topline = (
        (0.155, back + 0.012), (0.25, 0.452 + side), (0.36, 0.54 + side), (0.48, 0.618 + side),
        (0.575, 0.638 + side / 2),
    )
    upper = closed(
        corner(0.105, back), *topline, corner(0.655, 0.618), (0.74, 0.637), (0.84, 0.692), (0.925, 0.762),
        corner(0.968, 0.808), (0.9, 0.822), (0.76, 0.827), (0.645, 0.822), (0.545, 0.778), (0.44, 0.7),
        (0.34, 0.617), (0.24, 0.572), (0.135, 0.56), (0.099, 0.49), (0.097, 0.42),
    )
    body = canvas.fill(upper, design.fabric.scaled(0.85).turned(0.45), rounding=0.035, depth=1.2, gloss=0.16, lift=0.5)
    if design.panel != design.main:
        toe = closed(corner(0.86, 0.9), (0.83, 0.8), corner(0.87, 0.66), corner(1, 0.7), corner(1, 0.9))
        canvas.fill(toe, design.panel, rounding=0.02, gloss=0.15, clip=body)
    edge = opened((0.106, back + 0.004), *topline, (0.65, 0.622))
    canvas.line(moved(edge, 0, 0.008), 0.006, design.seam, clip=body)
    sole = opened(
        (0.24, 0.577), (0.34, 0.624), (0.44, 0.708), (0.545, 0.785), (0.645, 0.829), (0.76, 0.834), (0.962, 0.814)
    )
    canvas.fill(band(sole, 0.014), (0.2, 0.16, 0.14), rounding=0.006, lift=0)
    if cut.has("bow", 0.4):
        for x, y in ((-0.05, -0.028), (0.055, -0.014)):
            loop = closed(
                corner(0.685, 0.628), (0.685 + x * 0.8, 0.605 + y), (0.685 + x * 1.25, 0.625 + y / 2),
                (0.685 + x * 0.8, 0.648 + y / 2),
            )
            canvas.fill(loop, design.panel, rounding=0.014, lift=0.6)
        canvas.fill(ellipse(0.685, 0.626, 0.014), design.panel, rounding=0.01, gloss=0.1)
