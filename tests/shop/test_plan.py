"""Which products the drawn shop has."""

from collections import Counter

import pytest

from sosie.shop.kinds import KINDS
from sosie.shop.palette import COLOURS, MIN_PAIR_DISTANCE, MIN_PAIR_LIGHTNESS, colour_pairs, distance, lab
from sosie.shop.patterns import Pattern
from sosie.shop.plan import Look, plan_products

PLAN = plan_products(240, seed=0)


def test_same_numbers_same_plan() -> None:
    """A plan depends on its arguments alone."""
    assert plan_products(240, seed=0) == PLAN


def test_another_seed_another_plan() -> None:
    """Another seed gives other looks and other views."""
    other = plan_products(240, seed=1)
    assert [p.look for p in other] != [p.look for p in PLAN]
    assert [p.views for p in other] != [p.views for p in PLAN]


def test_more_products_keep_the_first_ones() -> None:
    """A larger shop begins with the products of a smaller one."""
    assert plan_products(500, seed=0)[:240] == PLAN


def test_kinds_are_even() -> None:
    """240 products are fifteen of each of the sixteen kinds."""
    assert Counter(p.kind for p in PLAN) == {kind.name: 15 for kind in KINDS}


def test_patterns_are_even() -> None:
    """Each pattern has between a fifth of a plain one's even share and half of all products."""
    counts = Counter(p.look.pattern for p in PLAN)
    assert set(counts) == set(Pattern)
    assert min(counts.values()) >= 40
    assert max(counts.values()) <= 120


def test_every_colour_is_sold() -> None:
    """Each of the twelve colours is on at least fifteen products."""
    counts = Counter(colour for p in PLAN for colour in p.look.colours)
    assert set(counts) == set(COLOURS)
    assert min(counts.values()) >= 15


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_patterned_products_have_neighbours(kind: str) -> None:
    """For a patterned product there are twins, others in its colours and others in its pattern."""
    looks = [p.look for p in PLAN if p.kind == kind]
    for look in (look for look in looks if look.pattern is not Pattern.PLAIN):
        assert looks.count(look) >= 2
        assert sum(o.colours == look.colours and o.pattern is not look.pattern for o in looks) >= 2
        assert sum(o.colours != look.colours and o.pattern is look.pattern for o in looks) >= 2


def test_striped_black_and_white_sweaters_are_there() -> None:
    """Whatever the seed, there are three striped black-and-white sweaters in a shop of the usual size."""
    for seed in range(5):
        plan = plan_products(240, seed)
        striped = Look(("black", "white"), Pattern.STRIPED)
        assert sum(p.kind == "sweater" and p.look == striped for p in plan) == 3


def test_patterns_have_two_colours() -> None:
    """A pattern needs two different colours, and nothing has more."""
    for product in PLAN:
        colours = product.look.colours
        assert len(set(colours)) == len(colours) <= 2
        assert product.look.pattern is Pattern.PLAIN or len(colours) == 2


def test_paired_colours_are_far_apart() -> None:
    """Two colours of one product differ, in lightness too."""
    for one, other in colour_pairs():
        assert distance(COLOURS[one], COLOURS[other]) >= MIN_PAIR_DISTANCE
        assert abs(lab(COLOURS[one])[0] - lab(COLOURS[other])[0]) >= MIN_PAIR_LIGHTNESS


def test_lab_knows_white_and_red() -> None:
    """CIELAB of sRGB's white is (100, 0, 0); of its red (53.2, 80.1, 67.2)."""
    assert lab((1, 1, 1)) == pytest.approx([100, 0, 0], abs=0.1)
    assert lab((1, 0, 0)) == pytest.approx([53.24, 80.09, 67.20], abs=0.1)


def test_views_differ() -> None:
    """A product's pictures have names, backdrops and directions of their own; the first is straight."""
    for product in PLAN:
        assert len({view.name for view in product.views}) == 3
        assert len({view.backdrop for view in product.views}) >= 2
        assert not product.views[0].mirrored
        assert product.views[1].mirrored
        assert abs(product.views[0].turn) <= 1


@pytest.mark.parametrize(("count", "views"), [(0, 3), (-1, 3), (20_001, 3), (10, 0), (10, 13)])
def test_bounds(count: int, views: int) -> None:
    """A count outside its range is refused, and the message gives the range."""
    with pytest.raises(ValueError, match=r"must be 1 to"):
        plan_products(count, views=views)
