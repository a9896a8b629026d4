"""What the pictures show."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sosie.shop.kinds import KINDS
from sosie.shop.palette import COLOURS
from sosie.shop.patterns import Fabric, Pattern, Places
from sosie.shop.plan import PlannedProduct, draw, draw_alone, plan_products
from sosie.shop.scene import BACKDROPS, View

SIZE = 128
PLAN = plan_products(48, seed=3)


def _pixels(product: PlannedProduct, view: View) -> np.ndarray:
    return np.asarray(draw(product, view, SIZE), np.float32) / 255


def _around(alpha: np.ndarray) -> np.ndarray:
    """The pixels in a ring around the product, a little away from it."""
    sheet = Image.fromarray((alpha > 0.02).astype(np.uint8) * 255)
    near, far = (np.asarray(sheet.filter(ImageFilter.MaxFilter(n))) > 0 for n in (5, 15))
    return far & ~near


@pytest.mark.parametrize("product", PLAN[:16], ids=lambda p: p.kind)
def test_drawing_is_deterministic(product: PlannedProduct) -> None:
    """The same product and view give the same pixels; another view gives others."""
    first = draw(product, product.views[0], SIZE)
    assert first.mode == "RGB"
    assert first.size == (SIZE, SIZE)
    assert first.tobytes() == draw(product, product.views[0], SIZE).tobytes()
    assert first.tobytes() != draw(product, product.views[1], SIZE).tobytes()


@pytest.mark.parametrize("product", PLAN, ids=lambda p: f"{p.number}-{p.kind}")
def test_product_stands_out(product: PlannedProduct) -> None:
    """The product fills a good part of each picture, lies within it and differs from what is around it."""
    for view in product.views:
        alpha = draw_alone(product, view, SIZE).alpha
        assert 0.05 < alpha.mean() < 0.7
        edge = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert edge.max() < 0.05
        pixels = _pixels(product, view)
        around = pixels[_around(alpha)].mean(axis=0)
        contrast = np.linalg.norm(pixels[alpha > 0.95] - around, axis=1).mean()
        assert contrast > 0.15, (view, contrast)


@pytest.mark.parametrize("colour", COLOURS)
def test_colour_is_what_one_sees(colour: str) -> None:
    """The middle colour of a plain sweater is nearer to its own name's colour than to any other."""
    sweater = PLAN[0]
    look = replace(sweater.look, colours=(colour,), pattern=Pattern.PLAIN)
    view = replace(sweater.views[0], brightness=1.0)
    plain = replace(sweater, look=look)
    pixels = _pixels(plain, view)[draw_alone(plain, view, SIZE).alpha > 0.95]
    middle = np.median(pixels, axis=0)
    assert min(COLOURS, key=lambda name: float(np.linalg.norm(middle - COLOURS[name]))) == colour


@pytest.mark.parametrize("pattern", Pattern)
@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_both_colours_are_seen(kind: str, pattern: Pattern) -> None:
    """Of a product in two colours, at least a twenty-fifth part is in each of them."""
    product = next(p for p in PLAN if p.kind == kind)
    view = View("main", BACKDROPS[0])

    def drawn(*colours: str) -> np.ndarray:
        look = replace(product.look, colours=colours, pattern=pattern)
        return draw_alone(replace(product, look=look), view, SIZE).rgb

    area = draw_alone(product, view, SIZE).alpha.sum()
    reference = drawn("blue", "white")
    for other in (drawn("blue", "yellow"), drawn("purple", "white")):
        changed = np.abs(reference - other).max(axis=2) > 0.1
        assert changed.sum() / area > 0.04


def test_kinds_have_different_outlines() -> None:
    """No two kinds share an outline: they overlap by less than 0.9 of their union."""
    view = View("main", BACKDROPS[0])
    outlines = {p.kind: draw_alone(p, view, SIZE).alpha > 0.5 for p in PLAN[: len(KINDS)]}
    names = list(outlines)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = outlines[one], outlines[other]
            assert (a & b).sum() / (a | b).sum() < 0.9, (one, other)


def test_twins_differ_in_cut() -> None:
    """Two products of one look are two products: their outlines differ."""
    plan = plan_products(240, seed=0)
    twins = [p for p in plan if p.kind == "sweater" and p.look == plan[0].look]
    view = View("main", BACKDROPS[1])
    one, other = (draw_alone(p, view, SIZE).alpha > 0.5 for p in twins[:2])
    assert (one ^ other).sum() > 20


def _swatch(pattern: Pattern) -> np.ndarray:
    """How much of each pixel of a square of cloth is in the second colour."""
    y, x = np.mgrid[:400, :400].astype(np.float32) / 400
    flat = np.zeros_like(x)
    fabric = Fabric((0, 0, 0), (1, 1, 1), pattern, period=0.1, share=0.5, wave=0)
    painted: np.ndarray = fabric.paint(Places(x, y, flat, flat, 1 / 400))[..., 0]
    return painted


def test_stripes_change_in_one_direction_only() -> None:
    """Stripes are the same along a row, and half of the cloth is in the second colour."""
    stripes = _swatch(Pattern.STRIPED)
    assert stripes.std(axis=1).max() < 1e-3
    assert stripes.mean() == pytest.approx(0.5, abs=0.02)


def test_checks_look_the_same_from_both_sides() -> None:
    """A gingham check equals its transpose and has three tones."""
    checks = _swatch(Pattern.CHECKED)
    assert np.abs(checks - checks.T).max() < 1e-3
    tones = [float((np.abs(checks - tone) < 0.05).mean()) for tone in (0, 0.5, 1)]
    assert tones == pytest.approx([0.25, 0.5, 0.25], abs=0.06)


def test_dots_leave_most_of_the_cloth() -> None:
    """Dots cover 0.7 times their share."""
    assert _swatch(Pattern.DOTTED).mean() == pytest.approx(0.35, abs=0.02)
