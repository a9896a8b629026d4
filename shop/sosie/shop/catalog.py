"""What the shops say of their products: names, prices, words. All names are invented."""

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from sosie.shop.kinds import KIND_BY_NAME, Kind
from sosie.shop.patterns import Pattern, Texture
from sosie.shop.plan import PlannedProduct
from sosie.v1.product_pb2 import Availability, Picture, Price, Product

PAGES: Final = "https://shop.example"

_SHOPS: Final = (("kaufhalle", "EUR"), ("atelier-nord", "EUR"), ("maison-lune", "EUR"), ("harbor-goods", "USD"))
_BRANDS: Final = {
    "Shoes": ("Tramp & Sohle", "Velano", "Kordax", "Mirelle", "Stride Union", "Fjell"),
    "Clothing": ("Norden", "Alma Weber", "Loft & Lin", "Okapi Row", "Brisa", "Tide Street"),
    "Bags": ("Pellero", "Carry Works", "Montagna", "Fjell", "Alma Weber"),
    "Accessories": ("Meridian", "Ocello", "Kupka", "Norden", "Harper & Finch"),
}
_WOMEN: Final = frozenset({"dress", "skirt", "heel"})
_NICE: Final = {
    "sneaker": ("low-top", "everyday", "retro", "court"),
    "boot": ("lace-up", "ankle", "winter", "combat"),
    "sandal": ("slip-on", "two-strap", "summer", "footbed"),
    "heel": ("slingback", "pointed", "evening", "classic"),
    "T-shirt": ("crew-neck", "regular", "relaxed", "organic"),
    "sweater": ("crew-neck", "chunky", "fine-knit", "relaxed"),
    "dress": ("flared", "summer", "fitted", "swing"),
    "trousers": ("straight", "tapered", "high-rise", "regular"),
    "skirt": ("A-line", "midi", "flared", "high-waist"),
    "coat": ("tailored", "wool-blend", "mid-length", "winter"),
    "bag": ("top-handle", "city", "structured", "weekend"),
    "backpack": ("city", "day", "commuter", "school"),
    "cap": ("baseball", "six-panel", "curved-brim", "sport"),
    "watch": ("three-hand", "classic", "everyday", "slim"),
    "glasses": ("full-rim", "retro", "bold", "rounded"),
    "scarf": ("fringed", "winter", "soft", "long"),
}
_MATERIALS: Final = {
    Texture.KNIT: "wool",
    Texture.WOVEN: "cotton",
    Texture.DENIM: "denim",
    Texture.LEATHER: "leather",
    Texture.SMOOTH: "acetate",
}
_PATTERN_WORDS: Final = {
    Pattern.STRIPED: ("Stripes run across it", "Even stripes"),
    Pattern.DOTTED: ("Dots all over", "Rows of dots"),
    Pattern.CHECKED: ("A gingham check", "Checks of one size"),
    Pattern.PLAIN: ("Plain and simple", "No print, no fuss"),
}
_CLOSINGS: Final = (
    "Made to be worn for years.",
    "Goes with what is in your wardrobe already.",
    "A favourite of our customers.",
    "Light to wear from morning to night.",
    "Cut true to size.",
)
_NEWEST: Final = datetime(2026, 10, 1, 12, tzinfo=UTC)
_CENTS_OF_ONE: Final = 10_000_000  # billionths in a hundredth


def picture_path(product: PlannedProduct, view: int) -> str:
    """Where a picture lies, relative to the catalog's pictures folder."""
    return f"{product.kind.lower()}/{product.number:05d}-{view + 1}.jpg"


def describe(product: PlannedProduct) -> Product:
    """The product as its shop would write it into a catalog: the same for the same product."""
    rng = random.Random(f"sosie/{product.seed}/{product.number}/words")  # noqa: S311 - words, not secrets
    kind = KIND_BY_NAME[product.kind]
    shop, currency = rng.choices(_SHOPS, (4, 3, 2, 2))[0]
    brand = rng.choice(_BRANDS[kind.department])
    product_id = f"{shop[:2].upper()}-{product.number:05d}"
    look = product.look
    title = _title(product, brand, rng)
    message = Product(
        shop=shop,
        product_id=product_id,
        title=title,
        brand=brand,
        category_path=["Women" if kind.name in _WOMEN else rng.choice(("Women", "Men")), kind.department, kind.plural],
        price=_price(kind, currency, rng),
        url=f"{PAGES}/{shop}/p/{product_id.lower()}",
        pictures=[
            Picture(
                id=str(i + 1),
                path=picture_path(product, i),
                url=f"{PAGES}/{shop}/i/{product_id.lower()}-{i + 1}.jpg",
                view=view.name,
            )
            for i, view in enumerate(product.views)
        ],
        availability=rng.choices(
            (Availability.IN_STOCK, Availability.OUT_OF_STOCK, Availability.PREORDER), (85, 12, 3)
        )[0],
        attributes={
            "colour": " and ".join(look.colours),
            "material": _MATERIALS[product.texture],
            "pattern": look.pattern.value,
        },
        description=f"{title}. {rng.choice(_PATTERN_WORDS[look.pattern])}. {rng.choice(_CLOSINGS)}",
    )
    message.update_time.FromDatetime(_NEWEST - timedelta(seconds=rng.randrange(180 * 24 * 3600)))
    return message


def _title(product: PlannedProduct, brand: str, rng: random.Random) -> str:
    """E.g. "Norden striped sweater in black and white"; what shops add differs from product to product."""
    look = product.look
    pattern = "" if look.pattern is Pattern.PLAIN else f"{look.pattern.value} "
    nice = f"{rng.choice(_NICE[product.kind])} " if rng.random() < 0.6 else ""  # noqa: PLR2004 - a share of titles
    colours = " and ".join(look.colours)
    if len(look.colours) == 1 and rng.random() < 0.5:  # noqa: PLR2004 - half of the plain ones
        return f"{brand} {colours} {nice}{product.kind}"
    return f"{brand} {nice}{pattern}{product.kind} in {colours}"


def _price(kind: Kind, currency: str, rng: random.Random) -> Price:
    units = rng.randint(kind.least_price, kind.greatest_price)
    return Price(currency_code=currency, units=units, nanos=rng.choice((0, 50, 90, 95, 99)) * _CENTS_OF_ONE)
