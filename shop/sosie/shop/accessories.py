"""Cap and scarf."""

import math

from sosie.shop.canvas import Canvas
from sosie.shop.curves import band, closed, corner, ellipse, moved, opened
from sosie.shop.design import Design
from sosie.shop.palette import accent, darker, lighter
from sosie.shop.patterns import Pattern

# The nodes of an outline read as rows; the formatter would give each a line.
# fmt: off


def draw_cap(canvas: Canvas, design: Design) -> None:
    """A baseball cap, its brim to the right: panels, seams, eyelets and the button on top."""
    cut = design.cut
    top = cut.between("top", 0.22, 0.27)
    reach = cut.between("reach", 0.92, 0.96)
    brim = closed(
        corner(0.425, 0.69), (0.55, 0.655), (0.62, 0.617), corner(0.65, 0.58), (0.77, 0.592), (0.885, 0.632),
        (reach, 0.688), (reach - 0.03, 0.713), (0.82, 0.703), (0.68, 0.7), (0.55, 0.707),
    )
    under = opened((0.43, 0.697), (0.55, 0.713), (0.68, 0.708), (0.82, 0.712), (reach - 0.025, 0.72))
    canvas.fill(band(under, 0.02), design.lining, rounding=0.008)
    crown = canvas.fill(
        closed(
            corner(0.085, 0.665), (0.08, 0.55), (0.115, 0.41), (0.2, 0.295), (0.33, top), (0.45, top + 0.012),
            (0.56, 0.335), (0.62, 0.47), corner(0.645, 0.61), (0.56, 0.645), (0.4, 0.685), (0.22, 0.695),
        ),
        design.fabric,
        rounding=0.085,
        depth=1.3,
    )
    if design.panel != design.main:
        canvas.fill(
            closed(
                corner(0.4, 0.1), (0.37, top + 0.1), (0.385, 0.5), corner(0.43, 0.75), corner(0.8, 0.75),
                corner(0.8, 0.1),
            ),
            design.panel_cloth(),
            rounding=0.05,
            depth=1.2,
            clip=crown,
            lift=0.1,
        )
    for seam in (
        opened((0.385, top), (0.355, 0.4), (0.37, 0.55), (0.43, 0.685)),
        opened((0.385, top), (0.245, 0.36), (0.19, 0.52), (0.195, 0.69)),
        opened((0.385, top), (0.52, 0.37), (0.57, 0.5), (0.59, 0.63)),
    ):
        canvas.crease(seam, 0.007, 0.55, clip=crown)
        canvas.dashes(moved(seam, 0.011, 0.004), 0.0035, design.seam, strength=0.6)
    for x, y in ((0.29, 0.37), (0.47, 0.36)):
        canvas.fill(ellipse(x, y, 0.011), accent(design.main), rounding=0.006, lift=0.2)
        canvas.fill(ellipse(x, y, 0.005), darker(design.main, 0.7), rounding=0.003, lift=0)
    canvas.fill(ellipse(0.385, top + 0.002, 0.026, 0.015), design.panel_cloth(), rounding=0.01)
    visor = design.fabric.turned(0.1) if design.panel == design.main else design.panel_cloth()
    shade = canvas.fill(brim, visor, rounding=0.035, depth=1.1, lift=0.65)
    for row in (0.022, 0.042, 0.062):
        stitches = opened((0.49, 0.675 - row), (0.62, 0.652 - row), (0.78, 0.658 - row), (reach - 0.03, 0.69 - row))
        canvas.line(stitches, 0.003, design.seam, strength=0.5, clip=shade)
    if design.fabric.pattern is Pattern.PLAIN and cut.has("badge", 0.5):
        canvas.fill(ellipse(0.49, 0.5, 0.042, 0.05), accent(design.panel), rounding=0.006, depth=0.5, lift=0.15)
        canvas.fill(ellipse(0.49, 0.5, 0.03, 0.037), design.panel, rounding=0.006, depth=0.4, lift=0.1)


def draw_scarf(canvas: Canvas, design: Design) -> None:
    """A scarf laid in a loop, its two ends hanging with fringes."""
    cut = design.cut
    end = cut.between("end", 0.8, 0.86)
    wide = cut.between("wide", 0.19, 0.23)
    long = cut.between("long", -0.04, 0.04)
    cloth = design.fabric
    back = opened((0.27, 0.3), (0.36, 0.15), (0.5, 0.105), (0.64, 0.15), (0.73, 0.3))
    canvas.fill(band(back, wide * 0.72), cloth.turned(0.0), rounding=0.05, depth=1.2)
    canvas.glow(closed((0.36, 0.26), (0.5, 0.18), (0.64, 0.26), (0.5, 0.34)), -0.35, 0.03)
    for sign, tip in ((1, end - 0.05 + long), (-1, end - long)):
        x = 0.5 + sign * 0.075
        tail = closed(
            corner(x - wide / 2 + 0.025, 0.4), (x - wide / 2 - 0.005 * sign, 0.6),
            corner(x - wide / 2 + sign * 0.018, tip), (x + sign * 0.02, tip + 0.008),
            corner(x + wide / 2 + sign * 0.018, tip), (x + wide / 2 - 0.005, 0.6),
            corner(x + wide / 2 - 0.025, 0.4),
        )
        for i in range(15):
            at = x - wide / 2 + sign * 0.018 + (i + 0.5) * wide / 15
            strand = opened(
                (at, tip - 0.01), (at + 0.004 * math.sin(i * 2.1), tip + 0.035),
                (at + 0.008 * math.sin(i * 1.3), tip + 0.075),
            )
            canvas.fill(band(strand, 0.010, 0.006), design.panel if i % 2 else design.main, rounding=0.004, lift=0.1)
        hanging = canvas.fill(tail, cloth.turned(0.05 * sign), rounding=0.035, depth=1.15, lift=0.6)
        if design.panel != design.main:
            canvas.fill(
                band(opened((x - wide, tip - 0.06), (x + wide, tip - 0.06)), 0.06),
                design.panel_cloth(),
                rounding=0.008,
                clip=hanging,
                lift=0.1,
                depth=0.4,
            )
        for offset, strength in ((-0.25, 0.5), (0.12, 0.6), (0.34, 0.4)):
            canvas.crease(
                opened(
                    (x + offset * wide * 0.6, 0.43), (x + offset * wide * 0.9, 0.6), (x + offset * wide, tip - 0.03)
                ),
                0.016,
                strength,
                clip=hanging,
            )
    loop = closed(
        (0.235, 0.255), (0.195, 0.33), (0.235, 0.43), (0.36, 0.51), (0.5, 0.53), (0.64, 0.51), (0.765, 0.43),
        (0.805, 0.33), (0.765, 0.255), (0.7, 0.3), (0.6, 0.355), (0.5, 0.37), (0.4, 0.355), (0.3, 0.3),
    )
    front = canvas.fill(loop, cloth, rounding=0.055, depth=1.3, lift=0.7)
    for fold in (
        opened((0.23, 0.33), (0.33, 0.405), (0.5, 0.43), (0.67, 0.405), (0.77, 0.33)),
        opened((0.25, 0.4), (0.37, 0.465), (0.5, 0.48), (0.6, 0.47)),
        opened((0.45, 0.4), (0.62, 0.395), (0.76, 0.31)),
    ):
        canvas.crease(fold, 0.014, 0.75, clip=front)
    canvas.line(
        opened((0.3, 0.3), (0.4, 0.355), (0.5, 0.37), (0.6, 0.355), (0.7, 0.3)),
        0.004,
        lighter(design.main, 0.2),
        strength=0.3,
        clip=front,
    )
