"""Short phrases, as people ask: a category beside one thing that a shop says of a product in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sosie.engine.text import MAX_SENTENCE
from sosie.training.goods import Goods

COLOURS = ("colour", "color")
"""The attributes that are asked for where a product has them: every shop has colours, and their names are words that
people use, as those of materials often are not."""


@dataclass(frozen=True)
class Phrase:
    """What is asked for: a narrowest category, and an attribute's value, "" for all that is in the category."""

    category: str
    attribute: str = ""
    value: str = ""

    def __str__(self) -> str:
        """As a person would type it.

        >>> str(Phrase("Dresses", "colour", "Orange"))
        'orange dresses'
        """
        return f"{self.value} {self.category}".strip().lower()[:MAX_SENTENCE]

    def is_true_of(self, product: Goods) -> bool:
        """Whether the shop says so of a product."""
        in_category = self.category == (product.category or product.title)
        return in_category and (not self.attribute or self.value == product.attributes.get(self.attribute))


def make_phrases(goods: Sequence[Goods], *, seed: int) -> tuple[Phrase, ...]:
    """One about each product: its colour, else an attribute by chance, else its category alone.

    The title stands for a category where a product has none, as in `Goods.sentences`.
    """
    rng = np.random.default_rng(seed)
    return tuple(_make_phrase(product, rng) for product in goods)


def _make_phrase(product: Goods, rng: np.random.Generator) -> Phrase:
    category = product.category or product.title
    names = sorted(name for name, value in product.attributes.items() if value.strip())
    chosen = [name for name in names if name.casefold() in COLOURS] or names
    if not chosen:
        return Phrase(category)
    name = chosen[int(rng.integers(len(chosen)))]
    return Phrase(category, name, product.attributes[name])
