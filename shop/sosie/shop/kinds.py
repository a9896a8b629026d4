"""The kinds of product that the shop sells."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sosie.shop import accessories, bags, bottoms, instruments, open_shoes, shoes, tops
from sosie.shop.canvas import Canvas
from sosie.shop.design import Design
from sosie.shop.patterns import Texture


@dataclass(frozen=True)
class Kind:
    """One kind of product.

    `plural` ends its category path. `textures` are the materials that it comes in, `period` is the usual distance of
    its pattern's repeats in product coordinates, `stands` whether it stands on a floor or lies on a surface. Prices are
    in whole units.
    """

    name: str
    plural: str
    department: str
    draw: Callable[[Canvas, Design], None]
    textures: tuple[Texture, ...]
    period: float
    stands: bool
    least_price: int
    greatest_price: int


_SHOES: Final = (Texture.LEATHER, Texture.WOVEN)
_CLOTH: Final = (Texture.WOVEN,)

KINDS: Final[tuple[Kind, ...]] = (
    Kind("sweater", "Sweaters", "Clothing", tops.draw_sweater, (Texture.KNIT,), 0.085, False, 39, 149),
    Kind("sneaker", "Sneakers", "Shoes", shoes.draw_sneaker, _SHOES, 0.06, True, 49, 159),
    Kind("dress", "Dresses", "Clothing", bottoms.draw_dress, _CLOTH, 0.07, False, 39, 189),
    Kind("bag", "Handbags", "Bags", bags.draw_bag, _SHOES, 0.085, True, 49, 299),
    Kind("T-shirt", "T-shirts", "Clothing", tops.draw_t_shirt, _CLOTH, 0.08, False, 15, 49),
    Kind("boot", "Boots", "Shoes", shoes.draw_boot, _SHOES, 0.07, True, 89, 249),
    Kind("cap", "Caps", "Accessories", accessories.draw_cap, _CLOTH, 0.07, True, 15, 45),
    Kind("skirt", "Skirts", "Clothing", bottoms.draw_skirt, _CLOTH, 0.075, False, 29, 119),
    Kind("watch", "Watches", "Accessories", instruments.draw_watch, _SHOES, 0.05, False, 59, 399),
    Kind(
        "trousers", "Trousers", "Clothing", bottoms.draw_trousers, (Texture.WOVEN, Texture.DENIM), 0.06, False, 39, 139
    ),
    Kind("heel", "Heels", "Shoes", open_shoes.draw_heel, (Texture.LEATHER, Texture.SMOOTH), 0.055, True, 59, 229),
    Kind("backpack", "Backpacks", "Bags", bags.draw_backpack, _CLOTH, 0.08, True, 39, 149),
    Kind("glasses", "Glasses", "Accessories", instruments.draw_glasses, (Texture.SMOOTH,), 0.06, False, 29, 199),
    Kind("coat", "Coats", "Clothing", tops.draw_coat, _CLOTH, 0.085, False, 99, 399),
    Kind("sandal", "Sandals", "Shoes", open_shoes.draw_sandal, _SHOES, 0.06, False, 25, 99),
    Kind(
        "scarf", "Scarves", "Accessories", accessories.draw_scarf, (Texture.KNIT, Texture.WOVEN), 0.075, False, 19, 89
    ),
)

KIND_BY_NAME: Final[dict[str, Kind]] = {kind.name: kind for kind in KINDS}
