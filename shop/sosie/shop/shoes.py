"""Sneaker, boot, sandal and heel: seen from the side, the toe to the right."""

from itertools import pairwise

from sosie.shop.canvas import Canvas
from sosie.shop.curves import Path, band, box, closed, corner, ellipse, opened, points_along
from sosie.shop.design import METAL, RUBBER, Design
from sosie.shop.palette import accent, darker, lighter


def draw_sneaker(canvas: Canvas, design: Design) -> None:
    """A low trainer: midsole and outsole, toe cap, heel tab, eyestay with laces, tongue."""
    cut = design.cut
    top = cut.between("collar", 0.36, 0.40)
    sole = cut.between("sole", 0.66, 0.645)
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
            corner(0.345, tongue + 0.02),
            (0.375, tongue - 0.025),
            corner(0.425, tongue - 0.015),
            (0.53, 0.43),
            (0.43, 0.5),
        ),
        design.panel_cloth(),
        rounding=0.025,
    )
    upper = closed(
        corner(0.1, sole + 0.01),
        (0.083, 0.56),
        (0.098, 0.46),
        corner(0.105, top - 0.02),
        (0.135, top - 0.028),
        (0.2, top + 0.045),
        (0.285, top + 0.045),
        corner(0.355, top - 0.035),
        (0.46, 0.415),
        (0.57, 0.485),
        (0.66, 0.522),
        (0.78, 0.545),
        (0.875, 0.578),
        (0.93, 0.625),
        corner(0.94, sole + 0.01),
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
    _swoosh(canvas, design, body)
    stay = opened((0.365, top - 0.02), (0.465, 0.43), (0.57, 0.5), (0.665, 0.538))
    canvas.fill(band(stay, 0.062, 0.05), design.panel_cloth(), rounding=0.012, depth=0.6, clip=body)
    canvas.line(
        opened((0.14, top + 0.0), (0.2, top + 0.07), (0.285, top + 0.07), (0.36, top + 0.005)), 0.005, design.seam
    )
    laces = RUBBER if sum(design.panel) < 2.1 else darker(RUBBER, 0.65)  # noqa: PLR2004 - lighter than a middle grey
    for x, y in points_along(stay, 6)[:-1]:
        canvas.fill(
            band(opened((x - 0.03, y + 0.045), (x + 0.012, y + 0.005), (x + 0.036, y - 0.026)), 0.019),
            laces,
            rounding=0.007,
        )
    _sneaker_sole(canvas, design, sole)


def _swoosh(canvas: Canvas, design: Design, body: Path) -> None:
    """The maker's mark on the side: a bar, a chevron, or nothing."""
    colour = accent(design.main) if design.panel == design.main else design.panel
    if design.cut.has("mark", 0.4):
        for x in (0.36, 0.425, 0.49):
            canvas.fill(
                band(opened((x + 0.02, 0.48), (x - 0.05, 0.68)), 0.026), colour, rounding=0.008, depth=0.5, clip=body
            )
    elif design.cut.has("wave", 0.6):
        wave = opened((0.27, 0.54), (0.36, 0.615), (0.52, 0.575), (0.64, 0.53))
        canvas.fill(band(wave, 0.045, 0.008), colour, rounding=0.008, depth=0.5, clip=body)


def _sneaker_sole(canvas: Canvas, design: Design, top: float) -> None:
    thick = design.cut.between("thick", 0.71, 0.73)
    midsole = closed(
        corner(0.078, top - 0.012),
        (0.3, top + 0.006),
        (0.6, top + 0.008),
        (0.85, top - 0.004),
        corner(0.953, top - 0.022),
        (0.965, top + 0.02),
        (0.935, thick - 0.008),
        (0.8, thick),
        (0.5, thick + 0.002),
        (0.2, thick),
        (0.09, thick - 0.012),
        (0.066, top + 0.03),
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
        corner(0.155, 0.78),
        (0.145, 0.7),
        (0.165, 0.6),
        (0.175, 0.45),
        corner(0.16, top),
        (0.3, top + 0.03),
        corner(0.455, top),
        (0.475, 0.38),
        (0.52, 0.5),
        (0.62, 0.575),
        (0.76, 0.615),
        (0.865, 0.665),
        (0.9, 0.73),
        corner(0.898, 0.78),
    )
    body = canvas.fill(upper, design.fabric, rounding=0.06, depth=1.25, gloss=0.06)
    canvas.fill(
        closed(corner(0.7, 0.8), (0.69, 0.7), corner(0.72, 0.58), corner(1, 0.55), corner(1, 0.8)),
        design.panel_cloth(), rounding=0.02, clip=body,
    )  # fmt: skip
    canvas.fill(
        closed(corner(0.1, 0.8), corner(0.1, 0.57), (0.2, 0.6), (0.28, 0.68), corner(0.3, 0.8)),
        design.panel_cloth(), rounding=0.012, depth=0.7, clip=body,
    )  # fmt: skip
    stay = opened((0.435, top + 0.015), (0.452, 0.38), (0.5, 0.5), (0.57, 0.555))
    canvas.fill(band(stay, 0.075, 0.06), design.panel_cloth(), rounding=0.012, depth=0.5, clip=body)
    laces = lighter(design.panel, 0.55) if sum(design.panel) < 1.2 else darker(design.panel, 0.6)  # noqa: PLR2004 - dark
    for x, y in points_along(stay, 8):
        canvas.fill(band(opened((x - 0.03, y + 0.014), (x + 0.03, y - 0.012)), 0.014), laces, rounding=0.005)
        canvas.fill(ellipse(x - 0.032, y + 0.014, 0.008), METAL, rounding=0.004, gloss=0.3)
    canvas.crease(opened((0.2, 0.52), (0.3, 0.56), (0.42, 0.545)), 0.014, 0.5, clip=body)
    canvas.crease(opened((0.24, 0.45), (0.33, 0.475), (0.42, 0.46)), 0.012, 0.35, clip=body)
    canvas.dashes(opened((0.17, top + 0.035), (0.3, top + 0.06), (0.4, top + 0.045)), 0.005, design.seam)
    _boot_sole(canvas, design)


def _boot_sole(canvas: Canvas, design: Design) -> None:
    colour = (0.16, 0.13, 0.12) if sum(design.main) > 0.7 else (0.30, 0.22, 0.16)  # noqa: PLR2004 - black
    heel = design.cut.between("heel", 0.855, 0.88)
    canvas.fill(
        closed(
            corner(0.14, 0.765), (0.4, 0.775), (0.7, 0.775), corner(0.91, 0.765), (0.925, 0.79), (0.89, 0.815),
            (0.7, 0.825), (0.5, 0.815), corner(0.4, 0.805), corner(0.385, heel), corner(0.15, heel), (0.142, 0.82),
        ),
        colour, rounding=0.014, lift=0.5,
    )  # fmt: skip
    canvas.line(opened((0.145, 0.785), (0.5, 0.793), (0.91, 0.785)), 0.006, lighter(colour, 0.35))
    for left in (0.5, 0.56, 0.62, 0.68, 0.74, 0.8):
        canvas.fill(box(left, 0.81, left + 0.035, 0.835, 0.004), colour, rounding=0.006, lift=0)


def draw_sandal(canvas: Canvas, design: Design) -> None:
    """A flat sandal: a cork footbed, two broad straps with buckles and one around the heel."""
    cut = design.cut
    thick = cut.between("sole", 0.70, 0.73)
    cork = (0.72, 0.55, 0.37)
    far = opened((0.62, 0.575), (0.66, 0.49), (0.72, 0.47), (0.77, 0.52))
    canvas.fill(band(far, 0.05), darker(design.main, 0.35), depth=0.6)
    canvas.fill(  # the footbed, seen a little from above
        closed((0.07, 0.6), (0.14, 0.575), (0.35, 0.585), (0.55, 0.6), (0.8, 0.6), (0.93, 0.615), (0.94, 0.645), (0.5, 0.66), (0.1, 0.64)),
        lighter(cork, 0.2), rounding=0.02, depth=0.6,
    )  # fmt: skip
    canvas.fill(
        closed(
            corner(0.062, 0.605), (0.09, 0.635), (0.35, 0.645), (0.65, 0.655), (0.88, 0.645), corner(0.948, 0.62),
            (0.96, 0.65), (0.93, thick), (0.7, thick + 0.012), (0.4, thick), (0.2, thick + 0.008), (0.085, thick),
        ),
        cork, rounding=0.02, lift=0.4,
    )  # fmt: skip
    canvas.fill(
        band(opened((0.075, thick - 0.004), (0.3, thick + 0.008), (0.7, thick + 0.014), (0.94, thick - 0.008)), 0.022),
        (0.2, 0.17, 0.15),
        rounding=0.008,
    )
    width = cut.between("strap", 0.15, 0.19)
    toe = closed(
        corner(0.6, 0.665), (0.61, 0.56), (0.635, 0.475), (0.68, 0.425), (0.66 + width, 0.455), (0.665 + width, 0.52), corner(0.65 + width, 0.66),
    )  # fmt: skip
    instep = closed(
        corner(0.33, 0.66), (0.335, 0.52), (0.365, 0.4), (0.42, 0.335), (0.4 + width, 0.375), (0.385 + width, 0.5), corner(0.37 + width, 0.665),
    )  # fmt: skip
    for strap, angle in ((toe, 0.25), (instep, 0.2)):
        canvas.fill(strap, design.fabric.scaled(0.8).turned(angle), rounding=0.04, depth=1.1, lift=0.6)
    around = opened((0.37, 0.43), (0.24, 0.405), (0.125, 0.42), (0.085, 0.5), (0.09, 0.6))
    canvas.fill(band(around, 0.055, 0.065), design.panel_cloth(), rounding=0.018, lift=0.6)
    canvas.dashes(opened((0.36, 0.415), (0.24, 0.39), (0.13, 0.405)), 0.004, design.seam)
    for x, y in ((0.4 + width / 2, 0.59), (0.66 + width / 2, 0.6)):
        canvas.fill(box(x - 0.036, y - 0.028, x + 0.036, y + 0.028, 0.01), METAL, rounding=0.008, gloss=0.5)
        canvas.fill(
            box(x - 0.02, y - 0.014, x + 0.02, y + 0.014, 0.004), darker(design.main, 0.3), rounding=0.006, lift=0
        )
        canvas.line(opened((x, y - 0.02), (x, y + 0.02)), 0.008, METAL)


def draw_heel(canvas: Canvas, design: Design) -> None:
    """A pump with a high heel, open at the instep."""
    cut = design.cut
    stem = cut.between("stem", 0.018, 0.05)
    high = cut.between("high", 0.3, 0.36)
    canvas.fill(  # the far side and the insole
        closed(corner(0.14, high + 0.02), (0.26, high + 0.055), (0.42, 0.52), (0.58, 0.62), (0.72, 0.655), (0.6, 0.71), (0.42, 0.66), (0.25, 0.52)),
        lighter((0.72, 0.58, 0.44), 0.15), depth=0.6, rounding=0.03,
    )  # fmt: skip
    canvas.fill(  # the heel
        closed(
            corner(0.115, high + 0.1), (0.12, 0.55), (0.145, 0.7), corner(0.15, 0.815), corner(0.152 + stem * 1.3, 0.815),
            (0.165 + stem * 1.6, 0.7), (0.235 + stem, 0.56), corner(0.31, 0.545), corner(0.24, 0.4),
        ),
        design.panel, rounding=0.03, depth=1.2, gloss=0.2,
    )  # fmt: skip
    canvas.fill(box(0.149, 0.808, 0.156 + stem * 1.3, 0.826, 0.003), (0.15, 0.13, 0.13), rounding=0.004, lift=0)
    upper = closed(
        corner(0.118, high - 0.005), (0.16, high + 0.03), (0.25, high + 0.12), (0.36, 0.535), (0.46, 0.605), (0.56, 0.635),
        (0.66, 0.63), corner(0.715, 0.612), (0.8, 0.64), (0.88, 0.7), (0.945, 0.765), corner(0.962, 0.802), (0.9, 0.818),
        (0.76, 0.82), (0.62, 0.81), (0.5, 0.755), (0.38, 0.655), (0.29, 0.565), (0.2, 0.5), (0.125, 0.47), (0.104, 0.42),
    )  # fmt: skip
    body = canvas.fill(upper, design.fabric.scaled(0.85).turned(0.5), rounding=0.035, depth=1.2, gloss=0.18, lift=0.5)
    toe = closed(corner(0.86, 0.9), (0.83, 0.8), corner(0.87, 0.66), corner(1, 0.7), corner(1, 0.9))
    if design.panel != design.main:
        canvas.fill(toe, design.panel, rounding=0.02, gloss=0.15, clip=body)
    edge = opened(
        (0.122, high + 0.002),
        (0.16, high + 0.04),
        (0.25, high + 0.13),
        (0.36, 0.545),
        (0.46, 0.614),
        (0.56, 0.645),
        (0.66, 0.64),
        (0.71, 0.622),
    )
    canvas.line(edge, 0.007, design.seam)
    sole = opened((0.3, 0.575), (0.38, 0.665), (0.5, 0.763), (0.62, 0.817), (0.76, 0.827), (0.955, 0.812))
    canvas.fill(band(sole, 0.016), (0.2, 0.16, 0.14), rounding=0.006, lift=0)
    if cut.has("strap", 0.35):
        canvas.fill(
            band(opened((0.14, high + 0.03), (0.26, high + 0.0), (0.37, high + 0.05), (0.43, 0.52)), 0.03),
            design.panel,
            gloss=0.1,
        )
        canvas.fill(box(0.35, high + 0.02, 0.4, high + 0.07, 0.01), METAL, rounding=0.006, gloss=0.5)
    elif cut.has("bow", 0.4):
        for left, right in pairwise((0.6, 0.68, 0.76)):
            side = closed(corner(0.68, 0.625), (left, 0.585 if left < 0.65 else 0.6), (right, 0.6), (0.68, 0.66))  # noqa: PLR2004 - the left loop
            canvas.fill(side, design.panel, rounding=0.015)
