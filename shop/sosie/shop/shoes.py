"""Sneaker and boot: seen from the side, the toe to the right."""

from sosie.shop.canvas import Canvas
from sosie.shop.curves import band, box, closed, corner, ellipse, opened, points_along
from sosie.shop.design import METAL, RUBBER, Design
from sosie.shop.palette import COLOURS, accent, darker, is_dark, lighter
from sosie.shop.patterns import Field, Pattern

# The nodes of an outline read as rows; the formatter would give each a line.
# fmt: off


def draw_sneaker(canvas: Canvas, design: Design) -> None:
    """A low trainer: midsole and outsole, toe cap, heel tab, eyestay with laces, tongue."""
    cut = design.cut
    top = cut.between("collar", 0.36, 0.40)
    sole = cut.between("sole", 0.645, 0.66)
    tongue = top - 0.055
    canvas.fill(  # the far side of the opening, then the tongue in it
        closed(
            corner(0.115, top), (0.22, top - 0.01), corner(0.37, top - 0.045), (0.36, top + 0.08), (0.2, top + 0.09)
        ),
        design.lining,
        depth=0.6,
    )
    canvas.fill(
        closed(
            corner(0.345, tongue + 0.02), (0.375, tongue - 0.025), corner(0.425, tongue - 0.015), (0.53, 0.43),
            (0.43, 0.5),
        ),
        design.panel_cloth(),
        rounding=0.025,
    )
    upper = closed(
        corner(0.1, sole + 0.01), (0.083, 0.56), (0.098, 0.46), corner(0.105, top - 0.02), (0.135, top - 0.028),
        (0.2, top + 0.045), (0.285, top + 0.045), corner(0.355, top - 0.035), (0.46, 0.415), (0.57, 0.478),
        (0.66, 0.511), (0.78, 0.532), (0.885, 0.568), (0.935, 0.622), corner(0.94, sole + 0.01),
    )
    body = canvas.fill(upper, design.fabric.turned(-0.12), rounding=0.05, depth=1.1)
    canvas.fill(  # heel counter
        closed(corner(0.06, 0.7), corner(0.06, 0.47), (0.15, 0.5), (0.215, 0.58), corner(0.24, 0.7)),
        design.panel_cloth(),
        rounding=0.012,
        depth=0.7,
        clip=body,
    )
    toe = cut.between("toe", 0.735, 0.79)
    canvas.fill(
        closed(corner(toe + 0.02, 0.7), (toe + 0.005, 0.6), corner(toe + 0.05, 0.52), corner(1, 0.5), corner(1, 0.7)),
        design.panel_cloth(),
        rounding=0.02,
        clip=body,
    )
    _draw_mark(canvas, design, body)
    stay = opened((0.365, top - 0.02), (0.465, 0.43), (0.57, 0.5), (0.665, 0.538))
    canvas.fill(band(stay, 0.062, 0.05), design.panel_cloth(), rounding=0.012, depth=0.6, clip=body)
    canvas.line(
        opened((0.14, top + 0.0), (0.2, top + 0.07), (0.285, top + 0.07), (0.36, top + 0.005)), 0.005, design.seam
    )
    laces = RUBBER if is_dark(design.panel) else darker(RUBBER, 0.65)
    for x, y in points_along(stay, 6)[:-1]:
        canvas.fill(
            band(opened((x - 0.03, y + 0.045), (x + 0.012, y + 0.005), (x + 0.036, y - 0.026)), 0.019),
            laces,
            rounding=0.007,
        )
    _draw_sneaker_sole(canvas, design, sole)


def _draw_mark(canvas: Canvas, design: Design, body: Field) -> None:
    """The maker's mark on the side: bars, a wave, or nothing; none over a pattern."""
    if design.fabric.pattern is not Pattern.PLAIN:
        return
    colour = accent(design.main) if design.panel == design.main else design.panel
    if design.cut.has("mark", 0.4):
        for x in (0.36, 0.425, 0.49):
            canvas.fill(
                band(opened((x + 0.02, 0.48), (x - 0.05, 0.68)), 0.026), colour, rounding=0.008, depth=0.5, clip=body
            )
    elif design.cut.has("wave", 0.6):
        wave = opened((0.27, 0.54), (0.36, 0.615), (0.52, 0.575), (0.64, 0.53))
        canvas.fill(band(wave, 0.045, 0.008), colour, rounding=0.008, depth=0.5, clip=body)


def _draw_sneaker_sole(canvas: Canvas, design: Design, top: float) -> None:
    thick = design.cut.between("thick", 0.71, 0.73)
    midsole = closed(
        corner(0.078, top - 0.012), (0.3, top + 0.006), (0.6, top + 0.008), (0.85, top - 0.004),
        corner(0.953, top - 0.022), (0.965, top + 0.02), (0.935, thick - 0.008), (0.8, thick),
        (0.5, thick + 0.002), (0.2, thick), (0.09, thick - 0.012), (0.066, top + 0.03),
    )
    canvas.fill(midsole, RUBBER, rounding=0.018, depth=1.1, lift=0.5)
    canvas.line(
        opened((0.075, top + 0.022), (0.4, top + 0.034), (0.7, top + 0.034), (0.957, top + 0.008)),
        0.005,
        darker(RUBBER, 0.25),
    )
    tread = design.trim if design.trim != design.main else darker(RUBBER, 0.45)
    outsole = opened(
        (0.09, thick - 0.005), (0.2, thick + 0.004), (0.5, thick + 0.006), (0.8, thick + 0.004), (0.94, thick - 0.012)
    )
    canvas.fill(band(outsole, 0.018), tread, rounding=0.008)


def draw_boot(canvas: Canvas, design: Design) -> None:
    """A laced ankle boot with a heel block and a tongue of leather."""
    cut = design.cut
    top = cut.between("shaft", 0.12, 0.2)
    canvas.fill(ellipse(0.31, top + 0.01, 0.15, 0.028), design.lining, depth=0.4)
    canvas.fill(
        closed(corner(0.4, top - 0.035), (0.45, top - 0.045), corner(0.485, top - 0.01), (0.52, 0.4), (0.44, 0.42)),
        design.panel_cloth(),
    )
    upper = closed(
        corner(0.155, 0.78), (0.145, 0.7), (0.165, 0.6), (0.175, 0.45), corner(0.16, top), (0.3, top + 0.03),
        corner(0.455, top), (0.475, 0.38), (0.52, 0.5), (0.62, 0.575), (0.76, 0.615), (0.865, 0.665), (0.9, 0.73),
        corner(0.898, 0.78),
    )
    body = canvas.fill(upper, design.fabric, rounding=0.06, depth=1.25, gloss=0.06)
    canvas.fill(
        closed(corner(0.7, 0.8), (0.69, 0.7), corner(0.72, 0.58), corner(1, 0.55), corner(1, 0.8)),
        design.panel_cloth(),
        rounding=0.02,
        clip=body,
    )
    canvas.fill(
        closed(corner(0.1, 0.8), corner(0.1, 0.57), (0.2, 0.6), (0.28, 0.68), corner(0.3, 0.8)),
        design.panel_cloth(),
        rounding=0.012,
        depth=0.7,
        clip=body,
    )
    stay = opened((0.435, top + 0.015), (0.452, 0.38), (0.5, 0.5), (0.57, 0.555))
    canvas.fill(band(stay, 0.075, 0.06), design.panel_cloth(), rounding=0.012, depth=0.5, clip=body)
    laces = lighter(design.panel, 0.55) if is_dark(design.panel) else darker(design.panel, 0.6)
    for x, y in points_along(stay, 8):
        canvas.fill(band(opened((x - 0.03, y + 0.014), (x + 0.03, y - 0.012)), 0.014), laces, rounding=0.005)
        canvas.fill(ellipse(x - 0.032, y + 0.014, 0.008), METAL, rounding=0.004, gloss=0.3)
    canvas.crease(opened((0.2, 0.52), (0.3, 0.56), (0.42, 0.545)), 0.014, 0.5, clip=body)
    canvas.crease(opened((0.24, 0.45), (0.33, 0.475), (0.42, 0.46)), 0.012, 0.35, clip=body)
    canvas.dashes(opened((0.17, top + 0.035), (0.3, top + 0.06), (0.4, top + 0.045)), 0.005, design.seam)
    _draw_boot_sole(canvas, design)


def _draw_boot_sole(canvas: Canvas, design: Design) -> None:
    colour = (0.16, 0.13, 0.12) if design.main != COLOURS["black"] else (0.30, 0.22, 0.16)
    heel = design.cut.between("heel", 0.855, 0.88)
    canvas.fill(
        closed(
            corner(0.14, 0.765), (0.4, 0.775), (0.7, 0.775), corner(0.91, 0.765), (0.925, 0.79), (0.89, 0.815),
            (0.7, 0.825), (0.5, 0.815), corner(0.4, 0.805), corner(0.385, heel), corner(0.15, heel), (0.142, 0.82),
        ),
        colour,
        rounding=0.014,
        lift=0.5,
    )
    canvas.line(opened((0.145, 0.785), (0.5, 0.793), (0.91, 0.785)), 0.006, lighter(colour, 0.35))
    for left in (0.5, 0.56, 0.62, 0.68, 0.74, 0.8):
        canvas.fill(box(left, 0.81, left + 0.035, 0.835, 0.004), colour, rounding=0.006, lift=0)
