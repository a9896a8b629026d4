"""Prices that are no prices: none at all, or far above what such things cost."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from sosie.indexer.checking.verdicts import Finding, Verdict
from sosie.v1 import product_pb2

HIGH = 10
"""So many times the median of its category a price is taken for a slip: a comma in the wrong place, or cents."""

LEAST = 10
"""Prices that a category must have before its median is held against them."""

MAX_CATEGORIES = 4096
"""Of which medians are kept; products of others are not judged."""

_GAMMA = 1.1
_NANOS = 1e9

_Category: TypeAlias = tuple[str, str, tuple[str, ...]]


class Medians:
    """The median price of each category of each shop, in each currency, to within 5%.

    Prices are counted in buckets whose bounds grow by a tenth, as DDSketch does (Masson, Rim and Lee, "DDSketch", PVLDB
    12, 2019): at most some 550 numbers a category however many products it has, whatever their order.
    """

    def __init__(self) -> None:
        self._buckets: dict[_Category, Counter[int]] = {}
        self.unjudged = 0
        """Products with a price in categories beyond the first MAX_CATEGORIES."""

    def note(self, product: product_pb2.Product) -> None:
        """Counts a product's price, unless that is 0 or missing, in its category and in those that this is part of."""
        amount = read_amount(product.price)
        if not amount:
            return
        room = MAX_CATEGORIES - len(self._buckets)
        known = [category for category in _name_categories(product) if category in self._buckets or room > 0]
        for category in known:
            self._buckets.setdefault(category, Counter())[math.ceil(math.log(amount, _GAMMA))] += 1
        self.unjudged += not known

    def find(self, product: product_pb2.Product) -> float | None:
        """The median of the narrowest category that has enough prices, in units of the currency; None without one."""
        for category in _name_categories(product):
            buckets = self._buckets.get(category, Counter())
            count = buckets.total()
            if count >= LEAST:
                passed = itertools.accumulate(buckets[bucket] for bucket in sorted(buckets))
                middle = next(place for place, number in enumerate(passed) if number * 2 >= count)
                return float(2 * _GAMMA ** sorted(buckets)[middle] / (_GAMMA + 1))
        return None


def judge_price(product: product_pb2.Product, medians: Medians) -> Iterator[Finding]:
    """What is odd about a valid product's price. A negative one is not valid."""
    if not product.HasField("price"):
        return
    amount, currency = read_amount(product.price), product.price.currency_code
    median = medians.find(product)
    if not amount:
        yield Finding(Verdict.DOUBTFUL, "price zero", "price", "price is 0")
    elif median is not None and amount >= HIGH * median:
        text = f"price is {amount:,.2f} {currency}, the median of its category about {median:,.0f}"
        yield Finding(Verdict.DOUBTFUL, "price high", "price", text)


def read_amount(price: product_pb2.Price) -> float:
    """In units of the currency."""
    return price.units + price.nanos / _NANOS


def _name_categories(product: product_pb2.Product) -> list[_Category]:
    """The product's category, then what it is part of, to the widest."""
    path, currency = tuple(product.category_path), product.price.currency_code
    return [(product.shop, currency, path[:level]) for level in range(len(path), min(1, len(path)) - 1, -1)]
