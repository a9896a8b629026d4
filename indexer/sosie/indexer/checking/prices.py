"""Prices that are no prices: none at all, or far above what such things cost."""

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
    12, 2019): at most some 450 numbers a category however many products it has, whatever their order.
    """

    def __init__(self) -> None:
        self._buckets: dict[_Category, Counter[int]] = {}
        self.unjudged = 0
        """Products with a price in categories beyond the first MAX_CATEGORIES."""

    def note(self, product: product_pb2.Product) -> None:
        """Counts a product's price, unless that is 0 or missing."""
        amount = read_amount(product.price)
        if not amount:
            return
        category = _name_category(product)
        if category not in self._buckets and len(self._buckets) >= MAX_CATEGORIES:
            self.unjudged += 1
            return
        self._buckets.setdefault(category, Counter())[math.ceil(math.log(amount, _GAMMA))] += 1

    def find(self, product: product_pb2.Product) -> float | None:
        """The median for such a product, in units of its currency; None where too few prices are known."""
        buckets = self._buckets.get(_name_category(product), Counter())
        count = buckets.total()
        if count < LEAST:
            return None
        passed = 0
        for bucket in sorted(buckets):
            passed += buckets[bucket]
            if passed * 2 >= count:
                return float(2 * _GAMMA**bucket / (_GAMMA + 1))
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


def _name_category(product: product_pb2.Product) -> _Category:
    return product.shop, product.price.currency_code, tuple(product.category_path)
