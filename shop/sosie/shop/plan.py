"""Which products there are, which pictures show them, and what is true of each: the answer key."""

import hashlib
import random
from dataclasses import dataclass
from typing import Final

from PIL import Image

from sosie.shop.canvas import Canvas
from sosie.shop.design import Cut, Design
from sosie.shop.kinds import KIND_BY_NAME, KINDS, Kind
from sosie.shop.palette import COLOURS, colour_pairs, distance
from sosie.shop.patterns import Fabric, Pattern, Texture
from sosie.shop.scene import BACKDROPS, Backdrop, Style, View, camera, compose

MAX_PRODUCTS: Final = 20_000
MAX_VIEWS: Final = 12
MIN_SIZE, MAX_SIZE = 64, 2048

_MIN_CONTRAST: Final = 20.0  # in CIELAB, between a backdrop and each of the product's colours
_PATTERN_PAIRS: Final = (
    (Pattern.STRIPED, Pattern.DOTTED),
    (Pattern.CHECKED, Pattern.STRIPED),
    (Pattern.DOTTED, Pattern.CHECKED),
)


@dataclass(frozen=True)
class Look:
    """What a picture shows as a person would say it: one or two colours, the main one first."""

    colours: tuple[str, ...]
    pattern: Pattern


@dataclass(frozen=True)
class PlannedProduct:
    """A product before it is drawn. `seed` and `number` (from 0) settle all that is not said here."""

    seed: int
    number: int
    kind: str
    look: Look
    views: tuple[View, ...]

    @property
    def cut(self) -> Cut:
        return Cut(f"{self.seed}/{self.number}")

    @property
    def texture(self) -> Texture:
        textures = KIND_BY_NAME[self.kind].textures
        return textures[int(self.cut.between("texture", 0, len(textures) - 1e-6))]


def plan_products(count: int, seed: int = 0, *, views: int = 3) -> list[PlannedProduct]:
    """`count` products (1..20,000) with `views` pictures (1..12) each: the same for the same arguments.

    Kinds take turns. Within a kind, products come in groups of fifteen: nine share two pairs of colours and two
    patterns in all four combinations (so that each has twins, others in its colours and others in its pattern), one is
    plain in two colours, five are plain in one. The first sweater is black and white and striped.

    Raises ValueError where an argument is out of its range.
    """
    if not 1 <= count <= MAX_PRODUCTS:
        raise ValueError(f"the number of products must be 1 to {MAX_PRODUCTS:,}, got {count}")
    if not 1 <= views <= MAX_VIEWS:
        raise ValueError(f"the number of views must be 1 to {MAX_VIEWS}, got {views}")
    products = []
    looks: dict[int, list[Look]] = {}
    for number in range(count):
        turn, place = divmod(number, len(KINDS))
        group, member = divmod(turn, _GROUP)
        if member == 0:
            looks[place] = _group_looks(seed, place, group)
        look = looks[place][member]
        products.append(
            PlannedProduct(seed, number, KINDS[place].name, look, _views(seed, number, KINDS[place], look, views))
        )
    return products


def draw(product: PlannedProduct, view: View, size: int = 320) -> Image.Image:
    """One picture of a product, `size` pixels square, RGB: the same for the same arguments."""
    stands = KIND_BY_NAME[product.kind].stands
    return compose(draw_alone(product, view, size), view, stands=stands, seed=_noise_seed(product, view, "scene"))


def draw_alone(product: PlannedProduct, view: View, size: int = 320) -> Canvas:
    """The product as a view sees it, before it has a backdrop; `alpha` says which pixels are the product's."""
    kind, cut = KIND_BY_NAME[product.kind], product.cut
    main, second = COLOURS[product.look.colours[0]], COLOURS[product.look.colours[-1]]
    fabric = Fabric(
        main,
        second,
        product.look.pattern,
        period=kind.period * cut.between("period", 0.8, 1.25),
        share=cut.between("share", 0.42, 0.55),
        bow=cut.between("bow", 0.0, 0.12),
        texture=product.texture,
    )
    canvas = Canvas(size, camera(view, size), _noise_seed(product, view, "cloth"))
    kind.draw(canvas, Design(fabric, second, cut))
    return canvas


def _noise_seed(product: PlannedProduct, view: View, of: str) -> int:
    name = f"{product.seed}/{product.number}/{view.name}/{of}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


_GROUP: Final = 15


def _group_looks(seed: int, place: int, group: int) -> list[Look]:
    """The looks of one group of a kind's products."""
    turn = place + group * len(KINDS)
    known = colour_pairs()
    shift = 1 + seed * 6 % (len(known) - 1)
    pairs = [known[0], *known[shift:], *known[1:shift]]
    first, second = pairs[turn * 2 % len(pairs)], pairs[(turn * 2 + 1) % len(pairs)]
    left, right = _PATTERN_PAIRS[(turn + seed) % len(_PATTERN_PAIRS)]
    if turn == 0:
        left, right = Pattern.STRIPED, Pattern.CHECKED
    cells = [Look(first, left), Look(first, right), Look(second, left), Look(second, right)]
    names = list(COLOURS)
    single = [Look((names[(turn * 3 + seed + 4 * i) % len(names)],), Pattern.PLAIN) for i in range(3)]
    return [*cells, single[0], *cells, single[1], Look(first, Pattern.PLAIN), cells[0], single[0], single[1], single[2]]


def _views(seed: int, number: int, kind: Kind, look: Look, count: int) -> tuple[View, ...]:
    """The first is what a shop's main picture is: straight, on a plain backdrop. The others differ in all."""
    rng = random.Random(f"sosie/{seed}/{number}/views")  # noqa: S311 - pictures, not secrets
    usable = [backdrop for backdrop in BACKDROPS if _contrast(backdrop, look) >= _MIN_CONTRAST]
    usable = usable or [max(BACKDROPS, key=lambda backdrop: _contrast(backdrop, look))]
    studio = [backdrop for backdrop in usable if backdrop.style is Style.STUDIO] or usable
    main = View(
        "main",
        rng.choice(studio),
        turn=rng.uniform(-1, 1),
        scale=rng.uniform(0.9, 0.97),
        brightness=rng.uniform(0.98, 1.03),
        shadow=rng.uniform(0.3, 0.45),
    )
    others: list[View] = []
    for i in range(1, count):
        left = [backdrop for backdrop in usable if backdrop not in {main.backdrop, *(o.backdrop for o in others[-2:])}]
        others.append(
            _other_view(
                rng,
                f"view {i + 1}",
                rng.choice(left or usable),
                mirrored=i % 2 == 1,
                stands=kind.stands,
            )
        )
    return (main, *others)


def _other_view(rng: random.Random, name: str, backdrop: Backdrop, *, mirrored: bool, stands: bool) -> View:
    most_turn, most_tilt = (2.0, 0.24) if stands else (10.0, 0.38)
    return View(
        name,
        backdrop,
        turn=rng.uniform(-most_turn, most_turn),
        mirrored=mirrored,
        scale=rng.uniform(0.76, 0.92),
        shift=(rng.uniform(-0.05, 0.05), rng.uniform(-0.03, 0.05)),
        tilt=(rng.uniform(0.1, most_tilt) * rng.choice((-1, 1)), rng.uniform(-0.2, 0.2)),
        brightness=rng.uniform(0.82, 1.08),
        warmth=rng.uniform(-0.05, 0.06),
        shadow=rng.uniform(0.3, 0.6),
    )


def _contrast(backdrop: Backdrop, look: Look) -> float:
    return min(distance(backdrop.rgb, COLOURS[colour]) for colour in look.colours)
