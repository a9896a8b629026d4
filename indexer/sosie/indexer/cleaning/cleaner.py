"""Cleans a product's texts before anything else looks at them, and tells what it changed."""

from functools import cached_property
from typing import Literal, TypeAlias

from sosie.indexer.cleaning.aliases import Aliases
from sosie.indexer.cleaning.categories import CategoryMap, join_path
from sosie.indexer.cleaning.proposals import Proposer
from sosie.indexer.cleaning.text import tidy, tidy_lines
from sosie.indexer.entry import Change
from sosie.v1 import product_pb2

RULES = ("unicode", "brand", "title", "category")
"""What a Change's `rule` may be."""

_Rule: TypeAlias = Literal["unicode", "brand", "title", "category"]


class Cleaner:
    """Applies the rules to products, one at a time, and remembers none.

    Shop, product id, picture ids, paths and addresses are never touched: they are keys and names of files, and another
    spelling is another one.
    """

    def __init__(self, aliases: Aliases | None = None, categories: CategoryMap | None = None) -> None:
        self._aliases = aliases or Aliases()
        self._categories = categories or CategoryMap()

    def clean(self, product: product_pb2.Product) -> list[Change]:
        """Changes the product in place, once: Unicode first, then brand, title and category. Gives the changes."""
        changes: list[Change] = []
        _tidy_texts(product, changes)
        _set(product, "brand", self._aliases.brand(product.brand), "brand", changes)
        _set(product, "title", self._aliases.title(product.title), "title", changes)
        self._map_category(product, changes)
        return changes

    def find_unmapped(self, product: product_pb2.Product) -> str | None:
        """The cleaned product's category as one text, where there are category files and they do not cover it."""
        if not self._categories or self._categories.covers(product.shop, product.category_path):
            return None
        return join_path(product.category_path)

    def suggest(self, category: str) -> list[str]:
        """What an unmapped category may become, as texts, the most similar first."""
        return [join_path(proposal.target) for proposal in self._proposer.propose(category)]

    @cached_property
    def _proposer(self) -> Proposer:
        return Proposer(self._categories)

    def _map_category(self, product: product_pb2.Product, changes: list[Change]) -> None:
        before = tuple(product.category_path)
        after = self._categories.apply(product.shop, before) if before and self._categories else before
        if after != before:
            product.category_path[:] = after
            changes.append(Change("category", "category_path", join_path(before), join_path(after)))


def _tidy_texts(product: product_pb2.Product, changes: list[Change]) -> None:
    _set(product, "title", tidy(product.title), "unicode", changes)
    _set(product, "brand", tidy(product.brand), "unicode", changes)
    _set(product, "description", tidy_lines(product.description), "unicode", changes)
    for place, level in enumerate(product.category_path):
        if (after := tidy(level)) != level:
            product.category_path[place] = after
            changes.append(Change("unicode", f"category_path[{place}]", level, after))
    for place, picture in enumerate(product.pictures):
        if (after := tidy(picture.view)) != picture.view:
            changes.append(Change("unicode", f"pictures[{place}].view", picture.view, after))
            picture.view = after
    for name, value in sorted(product.attributes.items()):
        _tidy_attribute(product, name, value, changes)


def _tidy_attribute(product: product_pb2.Product, name: str, value: str, changes: list[Change]) -> None:
    tidied = tidy(name)
    if tidied != name and tidied not in product.attributes:  # else the name that needs no tidying stands for itself
        del product.attributes[name]
        product.attributes[tidied] = value
        changes.append(Change("unicode", f"attributes[{name!r}] (its name)", name, tidied))
        name = tidied
    if (after := tidy(value)) != value:
        product.attributes[name] = after
        changes.append(Change("unicode", f"attributes[{name!r}]", value, after))


def _set(
    product: product_pb2.Product,
    name: Literal["title", "brand", "description"],
    after: str,
    rule: _Rule,
    changes: list[Change],
) -> None:
    before = getattr(product, name)
    if after != before:
        setattr(product, name, after)
        changes.append(Change(rule, name, before, after))
