"""Dress, trousers and skirt, laid flat, seen from the front."""

from sosie.shop.canvas import Canvas
from sosie.shop.curves import band, box, closed, corner, ellipse, mirrored, opened
from sosie.shop.design import METAL, Design
from sosie.shop.palette import accent, darker

# The nodes of an outline read as rows; the formatter would give each a line.
# fmt: off


def draw_dress(canvas: Canvas, design: Design) -> None:
    """A fitted bodice on straps or short sleeves, a waistband and a wide skirt in folds."""
    cut = design.cut
    hem = cut.between("hem", 0.86, 0.95)
    wide = cut.between("wide", 0.13, 0.2)
    canvas.fill(
        closed(corner(0.4, 0.1), (0.5, 0.14), corner(0.6, 0.1), (0.59, 0.22), (0.5, 0.25), (0.41, 0.22)),
        design.lining,
        depth=0.4,
    )
    if cut.has("sleeves", 0.5):
        sleeve = closed(
            corner(0.385, 0.075), (0.32, 0.095), corner(0.235, 0.215), (0.275, 0.255), corner(0.325, 0.265),
            corner(0.375, 0.2),
        )
        for path, turn in ((sleeve, -0.8), (mirrored(sleeve), 0.8)):
            canvas.fill(path, design.fabric.turned(turn), rounding=0.03)
    skirt = closed(
        corner(0.383, 0.405), (0.31, 0.56), (0.23, 0.73), corner(wide, hem - 0.03), (wide + 0.12, hem),
        (0.4, hem + 0.01), (0.5, hem + 0.014), (0.6, hem + 0.01), (0.88 - wide, hem), corner(1 - wide, hem - 0.03),
        (0.77, 0.73), (0.69, 0.56), corner(0.617, 0.405),
    )
    cloth = canvas.fill(skirt, design.fabric, rounding=0.05, depth=1.0)
    span = 0.5 - wide
    for at, strength in ((-0.78, 0.5), (-0.5, 0.65), (-0.24, 0.55), (0.05, 0.5), (0.3, 0.6), (0.56, 0.65), (0.82, 0.5)):
        fold = opened((0.5 + at * 0.09, 0.44), (0.5 + at * span * 0.62, 0.68), (0.5 + at * span, hem))
        canvas.crease(fold, 0.02, strength, clip=cloth)
    if design.panel != design.main:
        edge = opened(
            (wide, hem - 0.05), (wide + 0.12, hem - 0.022), (0.5, hem - 0.008), (0.88 - wide, hem - 0.022),
            (1 - wide, hem - 0.05),
        )
        canvas.fill(band(edge, 0.05), design.panel_cloth(), rounding=0.01, clip=cloth, lift=0.2)
    bodice = canvas.fill(
        closed(
            corner(0.385, 0.075), (0.365, 0.15), (0.33, 0.235), corner(0.335, 0.265), (0.365, 0.33),
            corner(0.38, 0.42), (0.5, 0.428), corner(0.62, 0.42), (0.635, 0.33), corner(0.665, 0.265),
            (0.67, 0.235), (0.635, 0.15), corner(0.615, 0.075), corner(0.575, 0.078), (0.565, 0.17),
            (0.5, cut.between("neck", 0.215, 0.25)), (0.435, 0.17), corner(0.425, 0.078),
        ),
        design.fabric,
        rounding=0.035,
        depth=1.1,
        lift=0.5,
    )
    for fold in (opened((0.37, 0.28), (0.41, 0.3), (0.42, 0.4)), opened((0.4, 0.26), (0.45, 0.3), (0.46, 0.4))):
        for path in (fold, mirrored(fold)):
            canvas.crease(path, 0.01, 0.3, clip=bodice)
    canvas.fill(
        band(opened((0.379, 0.405), (0.5, 0.415), (0.621, 0.405)), cut.between("band", 0.025, 0.045)),
        design.panel_cloth(),
        rounding=0.01,
        lift=0.4,
    )
    if cut.has("bow", 0.35):
        for flip in (False, True):
            loop = closed(corner(0.5, 0.41), (0.45, 0.375), (0.425, 0.4), (0.45, 0.435))
            canvas.fill(mirrored(loop) if flip else loop, design.panel_cloth(), rounding=0.014, lift=0.5)
        canvas.fill(ellipse(0.5, 0.41, 0.014), design.panel_cloth(), rounding=0.01)
    canvas.line(
        opened(
            (wide + 0.012, hem - 0.045), (wide + 0.12, hem - 0.018), (0.5, hem), (0.88 - wide, hem - 0.018),
            (0.988 - wide, hem - 0.045),
        ),
        0.004,
        design.seam,
        strength=0.5,
    )


def draw_trousers(canvas: Canvas, design: Design) -> None:
    """Waistband with loops and a button, fly, pockets, a crease down each leg."""
    cut = design.cut
    hem = cut.between("hem", 0.9, 0.95)
    wide = cut.between("wide", 0.115, 0.165)
    outer = cut.between("outer", 0.27, 0.3)
    canvas.fill(closed(corner(0.345, 0.09), (0.5, 0.1), corner(0.655, 0.09), (0.5, 0.135)), design.lining, depth=0.4)
    leg = closed(
        corner(0.345, 0.1), (0.32, 0.2), (0.3, 0.32), (outer + 0.005, 0.6), corner(outer, hem),
        (outer + wide / 2, hem + 0.012), corner(outer + wide, hem + 0.004), (0.445, 0.65), corner(0.492, 0.395),
        (0.505, 0.3), corner(0.508, 0.1),
    )
    legs = canvas.fill(mirrored(leg), design.fabric.turned(0.04), rounding=0.045, depth=1.1)
    legs = legs + canvas.fill(leg, design.fabric.turned(-0.04), rounding=0.045, depth=1.1, lift=0.4)
    middle = outer + wide / 2
    for flip in (False, True):
        folds = (
            (opened((0.405, 0.25), (0.385, 0.5), (middle, hem)), 0.4),
            (opened((0.49, 0.37), (0.43, 0.4), (0.37, 0.39)), 0.55),
            (opened((0.48, 0.42), (0.43, 0.46), (0.38, 0.46)), 0.4),
            (opened((outer + 0.02, 0.66), (middle, 0.685), (outer + wide, 0.67)), 0.35),
            (opened((outer + 0.02, 0.72), (middle, 0.735), (outer + wide, 0.715)), 0.25),
        )
        for fold, strength in folds:
            canvas.crease(mirrored(fold) if flip else fold, 0.013, strength, clip=legs.clip(0, 1))
        pocket = opened((0.4, 0.15), (0.375, 0.2), (0.318, 0.23))
        canvas.line(mirrored(pocket) if flip else pocket, 0.006, design.seam)
        if design.panel != design.main:
            stripe = opened((0.337, 0.13), (0.312, 0.3), (outer + 0.016, 0.6), (outer + 0.014, hem))
            canvas.fill(
                band(mirrored(stripe) if flip else stripe, 0.026),
                design.panel,
                rounding=0.008,
                clip=legs.clip(0, 1),
                lift=0.1,
            )
        cuff = opened((outer, hem - 0.025), (middle, hem - 0.014), (outer + wide, hem - 0.022))
        canvas.line(mirrored(cuff) if flip else cuff, 0.004, design.seam, strength=0.7)
    canvas.line(opened((0.507, 0.14), (0.506, 0.3), (0.494, 0.39)), 0.006, design.seam)
    canvas.dashes(opened((0.545, 0.15), (0.548, 0.26), (0.535, 0.3), (0.506, 0.33)), 0.0045, design.seam)
    waist = opened((0.342, 0.118), (0.5, 0.137), (0.658, 0.118))
    canvas.fill(band(waist, 0.05), design.panel_cloth(), rounding=0.012, lift=0.45)
    for x in (0.385, 0.44, 0.56, 0.615):
        canvas.fill(box(x - 0.008, 0.094, x + 0.008, 0.158, 0.004), design.panel_cloth(), rounding=0.005, lift=0.5)
    canvas.fill(
        ellipse(0.503, 0.137, 0.013),
        METAL if cut.has("metal", 0.6) else accent(design.panel),
        rounding=0.007,
        gloss=0.25,
        lift=0.5,
    )


def draw_skirt(canvas: Canvas, design: Design) -> None:
    """A waistband and an A-line, pleated or with a row of buttons."""
    cut = design.cut
    hem = cut.between("hem", 0.76, 0.88)
    wide = cut.between("wide", 0.12, 0.2)
    canvas.fill(closed(corner(0.335, 0.17), (0.5, 0.18), corner(0.665, 0.17), (0.5, 0.23)), design.lining, depth=0.4)
    body = canvas.fill(
        closed(
            corner(0.332, 0.2), (0.29, 0.33), (0.22, 0.56), corner(wide, hem - 0.035), (wide + 0.16, hem),
            (0.5, hem + 0.015), (0.84 - wide, hem), corner(1 - wide, hem - 0.035), (0.78, 0.56), (0.71, 0.33),
            corner(0.668, 0.2), (0.5, 0.215),
        ),
        design.fabric,
        rounding=0.05,
        depth=1.05,
    )
    pleats = 10 if cut.has("pleats", 0.5) else 5
    for i in range(1, pleats):
        at = 2 * i / pleats - 1
        start = 0.24 if pleats > 5 else 0.34  # noqa: PLR2004 - pleats begin at the waist, folds below it
        fold = opened((0.5 + at * 0.165, start), (0.5 + at * 0.24, 0.5), (0.5 + at * (0.5 - wide), hem + 0.01))
        canvas.crease(fold, 0.011 if pleats > 5 else 0.02, 0.7 if pleats > 5 else 0.5, clip=body)  # noqa: PLR2004 - as above
    canvas.fill(
        band(opened((0.33, 0.2), (0.5, 0.218), (0.67, 0.2)), cut.between("band", 0.05, 0.07)),
        design.panel_cloth(),
        rounding=0.014,
        lift=0.45,
    )
    if design.panel != design.main:
        edge = opened(
            (wide + 0.008, hem - 0.055), (wide + 0.16, hem - 0.022), (0.5, hem - 0.008),
            (0.84 - wide, hem - 0.022), (0.992 - wide, hem - 0.055),
        )
        canvas.fill(band(edge, 0.045), design.panel_cloth(), rounding=0.01, clip=body, lift=0.2)
    if pleats == 5:  # noqa: PLR2004 - room for buttons
        for i in range(5):
            y = 0.3 + i * (hem - 0.36) / 4
            canvas.fill(ellipse(0.5, y, 0.0135), accent(design.main), rounding=0.007, gloss=0.2, lift=0.6)
            canvas.fill(ellipse(0.5, y, 0.004), darker(design.main, 0.6), rounding=0.002, lift=0)
    else:
        canvas.fill(ellipse(0.5, 0.218, 0.013), accent(design.panel), rounding=0.007, gloss=0.2, lift=0.5)
