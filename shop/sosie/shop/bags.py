"""Handbag and backpack, standing, seen from the front."""

from sosie.shop.canvas import Canvas
from sosie.shop.curves import band, box, closed, corner, ellipse, mirrored, opened
from sosie.shop.design import METAL, Design
from sosie.shop.palette import accent, darker

# The nodes of an outline read as rows; the formatter would give each a line.
# fmt: off


def draw_bag(canvas: Canvas, design: Design) -> None:
    """A handbag: two handles on rings, a body that widens to its base, a flap with a lock or an open top."""
    cut = design.cut
    top = cut.between("top", 0.39, 0.44)
    narrow = cut.between("narrow", 0.16, 0.22)
    arch = cut.between("arch", 0.1, 0.16)
    back = opened((0.34, top + 0.03), (0.36, arch + 0.12), (0.5, arch - 0.025), (0.64, arch + 0.12), (0.66, top + 0.03))
    canvas.fill(band(back, 0.026), darker(design.panel, 0.3), rounding=0.012, depth=1.1)
    canvas.fill(
        closed(corner(narrow + 0.01, top), (0.5, top - 0.028), corner(0.99 - narrow, top), (0.5, top + 0.03)),
        design.lining,
        depth=0.4,
    )
    body = canvas.fill(
        closed(
            corner(narrow, top), (narrow - 0.035, 0.6), (narrow - 0.055, 0.78), (narrow - 0.03, 0.855),
            (0.3, 0.872), (0.5, 0.875), (0.7, 0.872), (1.03 - narrow, 0.855), (1.055 - narrow, 0.78),
            (1.035 - narrow, 0.6), corner(1 - narrow, top), (0.5, top + 0.018),
        ),
        design.fabric,
        rounding=0.07,
        depth=1.2,
        gloss=0.05,
    )
    base = closed(corner(0, 0.79), (0.5, 0.81), corner(1, 0.79), corner(1, 1), corner(0, 1))
    if design.panel != design.main:
        canvas.fill(base, design.panel_cloth(), rounding=0.02, clip=body)
    canvas.fill(
        band(opened((narrow, top + 0.004), (0.5, top + 0.022), (1 - narrow, top + 0.004)), 0.03),
        design.panel_cloth(),
        rounding=0.01,
    )
    canvas.dashes(
        opened((narrow - 0.02, 0.84), (0.3, 0.852), (0.5, 0.855), (0.7, 0.852), (1.02 - narrow, 0.84)),
        0.004,
        design.seam,
    )
    for flip in (False, True):
        side = opened((narrow + 0.045, top + 0.02), (narrow + 0.02, 0.6), (narrow + 0.005, 0.84))
        canvas.crease(mirrored(side) if flip else side, 0.014, 0.5, clip=body)
    if cut.has("flap", 0.5):
        flap = closed(
            corner(narrow - 0.004, top - 0.004), (0.5, top + 0.014), corner(1.004 - narrow, top - 0.004),
            (1.01 - narrow, 0.54), (0.9 - narrow, 0.62), (0.5, 0.655), (0.1 + narrow, 0.62), (narrow - 0.01, 0.54),
        )
        canvas.fill(flap, design.fabric, rounding=0.03, depth=0.9, lift=0.6, clip=canvas.alpha.copy())
        canvas.fill(box(0.455, 0.61, 0.545, 0.69, 0.014), METAL, rounding=0.012, gloss=0.5, lift=0.5)
        canvas.fill(box(0.492, 0.635, 0.508, 0.665, 0.004), (0.2, 0.18, 0.16), rounding=0.004, lift=0)
    else:
        pendant = closed((0.62, 0.5), (0.65, 0.52), (0.655, 0.6), (0.62, 0.62), (0.585, 0.6), (0.59, 0.52))
        canvas.line(opened((0.62, 0.505), (0.635, top + 0.05)), 0.006, accent(design.panel))
        canvas.fill(pendant, design.panel_cloth(), rounding=0.012, lift=0.5)
    front = opened(
        (0.32, top + 0.08), (0.33, arch + 0.16), (0.5, arch + 0.005), (0.67, arch + 0.16), (0.68, top + 0.08)
    )
    canvas.fill(band(front, 0.03), design.panel_cloth(), rounding=0.012, depth=1.2, lift=0.45)
    for x in (0.32, 0.68):
        canvas.fill(
            closed(
                corner(x - 0.03, top + 0.07), corner(x + 0.03, top + 0.07), (x + 0.024, top + 0.15),
                (x, top + 0.165), (x - 0.024, top + 0.15),
            ),
            design.panel_cloth(),
            rounding=0.01,
        )
        canvas.fill(ellipse(x, top + 0.068, 0.027), METAL, rounding=0.01, gloss=0.5)
        canvas.fill(ellipse(x, top + 0.068, 0.015), darker(design.main, 0.35), rounding=0.006, lift=0)
        canvas.fill(
            band(opened((x, top - 0.0), (x, top + 0.062)), 0.03), design.panel_cloth(), rounding=0.012, lift=0.2
        )
        canvas.fill(ellipse(x, top + 0.128, 0.007), METAL, rounding=0.004, gloss=0.4, lift=0.3)


def draw_backpack(canvas: Canvas, design: Design) -> None:
    """A rounded pack: straps behind, a haul loop, a lid with a zip, a front pocket, side pockets."""
    cut = design.cut
    top = cut.between("top", 0.15, 0.19)
    left = cut.between("left", 0.2, 0.235)
    loop = opened((0.43, top + 0.02), (0.44, top - 0.055), (0.5, top - 0.078), (0.56, top - 0.055), (0.57, top + 0.02))
    canvas.fill(band(loop, 0.026), design.panel_cloth(), rounding=0.01)
    for flip in (False, True):
        strap = opened((0.3, top + 0.1), (left - 0.055, 0.4), (left - 0.075, 0.6), (left - 0.015, 0.78))
        canvas.fill(
            band(mirrored(strap) if flip else strap, 0.055, 0.028),
            darker(design.panel, 0.15),
            rounding=0.016,
            depth=1.1,
        )
        side = closed((left - 0.015, 0.6), (left - 0.05, 0.66), (left - 0.05, 0.8), (left, 0.84), (left + 0.06, 0.74))
        canvas.fill(mirrored(side) if flip else side, design.panel_cloth(), rounding=0.025)
    body = canvas.fill(
        closed(
            (0.5, top - 0.02), (0.36, top), (left + 0.045, top + 0.09), (left + 0.005, 0.4), (left - 0.01, 0.62),
            (left + 0.005, 0.84), (left + 0.07, 0.9), (0.5, 0.912), (0.93 - left, 0.9), (0.995 - left, 0.84),
            (1.01 - left, 0.62), (0.995 - left, 0.4), (0.955 - left, top + 0.09), (0.64, top),
        ),
        design.fabric,
        rounding=0.075,
        depth=1.25,
        lift=0.5,
    )
    zip_line = opened(
        (left + 0.012, 0.47), (left + 0.055, top + 0.17), (0.37, top + 0.075), (0.5, top + 0.06),
        (0.63, top + 0.075), (0.945 - left, top + 0.17), (0.988 - left, 0.47),
    )
    canvas.fill(band(zip_line, 0.026), darker(design.panel, 0.2), rounding=0.008, depth=0.6, clip=body)
    canvas.line(zip_line, 0.006, METAL, strength=0.9, clip=body)
    low = cut.between("pocket", 0.54, 0.6)
    pocket = canvas.fill(
        closed(
            (0.5, low - 0.006), (left + 0.1, low), (left + 0.055, low + 0.05), (left + 0.045, 0.74),
            (left + 0.06, 0.855), (0.5, 0.878), (0.94 - left, 0.855), (0.955 - left, 0.74),
            (0.945 - left, low + 0.05), (0.9 - left, low),
        ),
        design.fabric if design.panel == design.main else design.panel_cloth(),
        rounding=0.04,
        depth=1.2,
        lift=0.7,
    )
    slide = opened((left + 0.07, low + 0.055), (0.5, low + 0.04), (0.93 - left, low + 0.055))
    canvas.fill(band(slide, 0.022), darker(design.panel, 0.25), rounding=0.007, depth=0.6, clip=pocket)
    canvas.line(slide, 0.006, METAL, strength=0.9, clip=pocket)
    for x, y in ((0.44, low + 0.055), (0.4, top + 0.085)):
        canvas.fill(
            box(x - 0.009, y, x + 0.009, y + 0.05, 0.006), accent(design.panel), rounding=0.005, gloss=0.1, lift=0.5
        )
    if cut.has("label", 0.6):
        canvas.fill(box(0.455, 0.4, 0.545, 0.455, 0.008), accent(design.panel), rounding=0.006, depth=0.5)
    else:
        for x in (0.4, 0.6):
            canvas.fill(
                box(x - 0.018, top + 0.13, x + 0.018, low + 0.01, 0.004), design.panel_cloth(), rounding=0.008, lift=0.4
            )
            canvas.fill(box(x - 0.026, 0.45, x + 0.026, 0.485, 0.006), METAL, rounding=0.007, gloss=0.4)
