"""T-shirt, sweater and coat, laid flat, seen from the front."""

from sosie.shop.canvas import Canvas
from sosie.shop.curves import Path, band, box, closed, corner, ellipse, mirrored, moved, opened
from sosie.shop.design import METAL, Design
from sosie.shop.palette import accent, darker
from sosie.shop.patterns import Field

# The nodes of an outline read as rows; the formatter would give each a line.
# fmt: off


def draw_t_shirt(canvas: Canvas, design: Design) -> None:
    """Short sleeves, a ribbed round neck, hems with a double seam."""
    cut = design.cut
    hem = cut.between("hem", 0.84, 0.9)
    waist = cut.between("waist", 0.285, 0.3)
    sleeve = cut.between("sleeve", 0.37, 0.42)
    neck = cut.between("neck", 0.22, 0.255)
    canvas.fill(
        closed(corner(0.385, 0.14), (0.5, 0.155), corner(0.615, 0.14), (0.5, neck + 0.02)), design.lining, depth=0.4
    )
    left = closed(
        corner(0.33, 0.155), (0.24, 0.19), (0.175, 0.25), corner(0.075, sleeve - 0.015), (0.12, sleeve + 0.03),
        corner(0.205, sleeve + 0.055), (0.26, sleeve - 0.02), corner(0.31, 0.37), corner(0.36, 0.2),
    )
    sleeves = design.fabric if design.panel == design.main else design.panel_cloth()
    for path, turn in ((left, -0.75), (mirrored(left), 0.75)):
        canvas.fill(path, sleeves.turned(turn), rounding=0.04, depth=0.9)
    body = canvas.fill(
        closed(
            corner(0.375, 0.135), (0.34, 0.15), corner(0.285, 0.175), (0.3, 0.27), (0.298, 0.36), (waist, 0.6),
            corner(waist - 0.005, hem), (0.5, hem + 0.012), corner(1.005 - waist, hem), (1 - waist, 0.6),
            (0.702, 0.36), (0.7, 0.27), corner(0.715, 0.175), (0.66, 0.15), corner(0.625, 0.135),
            (0.585, neck - 0.035), (0.5, neck), (0.415, neck - 0.035),
        ),
        design.fabric,
        rounding=0.05,
        depth=0.9,
    )
    collar = opened((0.375, 0.137), (0.41, neck - 0.035), (0.5, neck + 0.004), (0.59, neck - 0.035), (0.625, 0.137))
    canvas.fill(band(collar, 0.03), design.panel_cloth(), rounding=0.008, depth=0.7)
    canvas.line(moved(collar, 0, 0.022), 0.004, design.seam, strength=0.5, clip=body)
    _cloth_folds(canvas, body)
    canvas.dashes(
        opened((waist, hem - 0.028), (0.5, hem - 0.016), (1 - waist, hem - 0.028)), 0.0035, design.seam, strength=0.6
    )
    seam = opened((0.09, sleeve - 0.035), (0.135, sleeve + 0.009), (0.213, sleeve + 0.033))
    for flip in (False, True):
        canvas.line(mirrored(seam) if flip else seam, 0.004, design.seam, strength=0.5)
    if cut.has("pocket", 0.3):
        canvas.fill(box(0.56, 0.33, 0.65, 0.43, 0.012), design.panel_cloth(), rounding=0.01, depth=0.5)


def _cloth_folds(canvas: Canvas, body: Field) -> None:
    """The folds that a thin cloth has below the arms and towards the hem."""
    for mirror in (False, True):
        for fold, strength in (
            (opened((0.3, 0.36), (0.37, 0.42), (0.42, 0.52)), 0.35),
            (opened((0.31, 0.62), (0.36, 0.7), (0.37, 0.86)), 0.3),
            (opened((0.44, 0.55), (0.43, 0.7), (0.45, 0.85)), 0.18),
        ):
            canvas.crease(mirrored(fold) if mirror else fold, 0.016, strength, clip=body)


def draw_sweater(canvas: Canvas, design: Design) -> None:
    """Long sleeves beside the body; ribs at collar, cuffs and hem."""
    cut = design.cut
    hem = cut.between("hem", 0.8, 0.86)
    wide = cut.between("wide", 0.27, 0.29)
    high = cut.has("turtle", 0.3)
    ribs = design.panel_cloth()
    if not high:
        canvas.fill(
            closed(corner(0.395, 0.145), (0.5, 0.155), corner(0.605, 0.145), (0.5, 0.225)), design.lining, depth=0.4
        )
    sleeve = closed(
        corner(0.33, 0.16), (0.25, 0.195), (0.195, 0.27), (0.15, 0.45), corner(0.105, 0.735), (0.15, 0.76),
        corner(0.205, 0.755), (0.255, 0.56), corner(0.315, 0.39), corner(0.37, 0.24),
    )
    cuff = closed(
        corner(0.112, 0.72), (0.155, 0.74), corner(0.203, 0.735), (0.2, 0.77), corner(0.19, 0.8), (0.15, 0.808),
        corner(0.112, 0.79), (0.107, 0.76),
    )
    sleeves = design.fabric if design.panel == design.main else design.panel_cloth()
    for turn, flip in ((-0.28, False), (0.28, True)):
        arm = canvas.fill(mirrored(sleeve) if flip else sleeve, sleeves.turned(turn), rounding=0.035, depth=1.1)
        path = mirrored(cuff) if flip else cuff
        _ribs(canvas, canvas.fill(path, ribs, rounding=0.012, lift=0.5), path, 9, design)
        for fold in (opened((0.19, 0.5), (0.23, 0.53), (0.26, 0.52)), opened((0.16, 0.6), (0.2, 0.635), (0.235, 0.62))):
            canvas.crease(mirrored(fold) if flip else fold, 0.012, 0.4, clip=arm)
    body = canvas.fill(
        closed(
            corner(0.385, 0.14), (0.35, 0.15), corner(0.29, 0.18), (0.305, 0.3), (0.298, 0.4), (wide, 0.62),
            corner(wide + 0.01, hem - 0.05), (0.5, hem - 0.035), corner(0.99 - wide, hem - 0.05), (1 - wide, 0.62),
            (0.702, 0.4), (0.695, 0.3), corner(0.71, 0.18), (0.65, 0.15), corner(0.615, 0.14), (0.57, 0.2),
            (0.5, 0.222), (0.43, 0.2),
        ),
        design.fabric,
        rounding=0.055,
        depth=1.05,
    )
    band_path = closed(
        corner(wide + 0.006, hem - 0.06), (0.5, hem - 0.042), corner(0.994 - wide, hem - 0.06),
        (0.985 - wide, hem - 0.02), corner(0.975 - wide, hem + 0.01), (0.5, hem + 0.024),
        corner(wide + 0.025, hem + 0.01), (wide + 0.015, hem - 0.02),
    )
    _ribs(canvas, canvas.fill(band_path, ribs, rounding=0.015, lift=0.5), band_path, 34, design)
    _cloth_folds(canvas, body)
    collar = opened((0.385, 0.142), (0.425, 0.2), (0.5, 0.228), (0.575, 0.2), (0.615, 0.142))
    path = box(0.395, 0.085, 0.605, 0.215, 0.035) if high else band(collar, 0.042)
    _ribs(canvas, canvas.fill(path, ribs, rounding=0.016, lift=0.5), path, 19, design)
    if high:
        canvas.crease(opened((0.4, 0.145), (0.5, 0.155), (0.6, 0.145)), 0.012, 0.5)


def _ribs(canvas: Canvas, mask: Field, path: Path, count: int, design: Design) -> None:
    """Vertical ribs inside a shape."""
    (left, top), (right, bottom) = path.min(axis=0).tolist(), path.max(axis=0).tolist()
    for i in range(1, count):
        x = left + (right - left) * i / count
        canvas.line(opened((x, top), (x, bottom)), 0.0045, accent(design.panel), strength=0.42, clip=mask)


def draw_coat(canvas: Canvas, design: Design) -> None:
    """A coat to the knee: lapels, buttons, pockets, a belt on some."""
    cut = design.cut
    hem = cut.between("hem", 0.9, 0.95)
    flare = cut.between("flare", 0.215, 0.255)
    canvas.fill(closed(corner(0.4, 0.095), (0.5, 0.085), corner(0.6, 0.095), (0.5, 0.3)), design.lining, depth=0.4)
    sleeve = closed(
        corner(0.345, 0.12), (0.28, 0.145), (0.225, 0.2), (0.185, 0.36), corner(0.135, 0.665), (0.175, 0.69),
        corner(0.228, 0.685), (0.27, 0.5), corner(0.325, 0.33), corner(0.37, 0.2),
    )
    for turn, flip in ((-0.25, False), (0.25, True)):
        arm = canvas.fill(mirrored(sleeve) if flip else sleeve, design.fabric.turned(turn), rounding=0.035, depth=1.1)
        cuff = opened((0.14, 0.635), (0.185, 0.655), (0.233, 0.65))
        canvas.fill(band(mirrored(cuff) if flip else cuff, 0.022), design.panel_cloth(), rounding=0.008, clip=arm)
        fold = opened((0.205, 0.43), (0.245, 0.455), (0.28, 0.44))
        canvas.crease(mirrored(fold) if flip else fold, 0.012, 0.4, clip=arm)
    half = closed(
        corner(0.4, 0.1), (0.36, 0.115), corner(0.305, 0.14), (0.32, 0.27), (0.315, 0.36), (0.305, 0.48),
        (0.275, 0.7), corner(flare, hem), (0.38, hem + 0.016), corner(0.53, hem + 0.012), (0.535, 0.7),
        corner(0.53, 0.36),
    )
    front = mirrored(half)
    body = canvas.fill(front, design.fabric, rounding=0.045, depth=0.95)
    body = body + canvas.fill(half, design.fabric, rounding=0.045, depth=0.95, lift=0.55)
    for fold in (opened((0.34, 0.5), (0.32, 0.7), (0.3, 0.92)), opened((0.42, 0.55), (0.42, 0.75), (0.4, 0.93))):
        for path in (fold, mirrored(fold)):
            canvas.crease(path, 0.016, 0.32, clip=body.clip(0, 1))
    lapel = closed(
        corner(0.405, 0.09), (0.375, 0.13), corner(0.37, 0.18), corner(0.315, 0.205), corner(0.35, 0.255),
        (0.43, 0.33), corner(0.525, 0.4), (0.47, 0.27), corner(0.43, 0.13),
    )
    for path in (mirrored(lapel), lapel):
        canvas.fill(path, design.panel_cloth(), rounding=0.014, depth=0.8, lift=0.6)
    for flip in (False, True):
        pocket = band(opened((0.335, 0.66), (0.4, 0.645)), 0.035)
        canvas.fill(mirrored(pocket) if flip else pocket, design.panel_cloth(), rounding=0.01, lift=0.45)
    if cut.has("belt", 0.45):
        belt = opened((0.305, 0.495), (0.5, 0.51), (0.695, 0.495))
        canvas.fill(band(belt, 0.042), design.panel_cloth(), rounding=0.012, lift=0.55)
        canvas.fill(box(0.475, 0.478, 0.55, 0.54, 0.012), METAL, rounding=0.008, gloss=0.5)
        canvas.fill(box(0.492, 0.494, 0.533, 0.524, 0.004), darker(design.panel, 0.25), rounding=0.006, lift=0)
    buttons = (0.43, 0.57, 0.69) if cut.has("single", 0.5) else (0.45, 0.58)
    for y in buttons:
        for x in (0.49,) if len(buttons) == 3 else (0.455, 0.575):  # noqa: PLR2004 - one row of three
            canvas.fill(ellipse(x, y, 0.0135), accent(design.panel), rounding=0.007, gloss=0.15, lift=0.6)
            canvas.fill(ellipse(x, y, 0.004), darker(design.panel, 0.6), rounding=0.002, lift=0)
