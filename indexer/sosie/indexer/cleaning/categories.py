"""The category files: what each shop's categories are in the house's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

from sosie.indexer.cleaning.tables import TableError, check_names, read_table, read_texts, read_toml
from sosie.indexer.cleaning.text import fold, tidy
from sosie.indexer.validation import MAX_CATEGORY, MAX_CATEGORY_LEVELS

SEPARATOR = " > "
"""Between the levels of a category where it is written as one text."""

CategoryPath: TypeAlias = tuple[str, ...]
"""From the widest category to the narrowest."""

_Target: TypeAlias = CategoryPath | None
"""None: the category stays as the shop has it."""


def join_path(path: Sequence[str]) -> str:
    """The levels as one text.

    >>> join_path(["Women", "Shoes"])
    'Women > Shoes'
    """
    return SEPARATOR.join(path)


def split_path(text: str) -> CategoryPath:
    """The levels of a category that is written as one text; none where it is blank.

    >>> split_path("Women >Shoes")
    ('Women', 'Shoes')
    """
    return tuple(level for level in map(tidy, text.split(">")) if level)


@dataclass(frozen=True)
class ShopCategories:
    """One shop's entries, by the folded text of its categories: `exact` ones, and `below` for all that is under one."""

    exact: dict[str, _Target] = field(default_factory=dict)
    below: dict[str, _Target] = field(default_factory=dict)


@dataclass(frozen=True)
class CategoryMap:
    """What shops' categories become.

    `own` are the house's categories, by their folded text: those listed, what entries map to, and the parents of both.
    A shop's category is covered where there is an entry for it, or for all below one of its parents (the longest
    counts), or where it is one of the house's own.
    """

    shops: Mapping[str, ShopCategories] = field(default_factory=dict)
    listed: Sequence[CategoryPath] = ()
    own: Mapping[str, CategoryPath] = field(init=False)

    def __post_init__(self) -> None:
        own: dict[str, CategoryPath] = {}
        targets = (target for shop in self.shops.values() for target in (*shop.exact.values(), *shop.below.values()))
        for path in (*self.listed, *(target for target in targets if target)):
            for depth in range(1, len(path) + 1):
                own.setdefault(fold(join_path(path[:depth])), path[:depth])
        object.__setattr__(self, "own", own)

    @classmethod
    def read(cls, place: Path) -> Self:
        """Reads a file, or all files *.toml of a folder.

        Raises TableError where one cannot be read, holds what is no category, or two entries contradict each other.
        """
        files = sorted(place.glob("*.toml")) if place.is_dir() else [place]
        if not files:
            raise TableError(f"{place} holds no file *.toml")
        shops: dict[str, ShopCategories] = {}
        listed: list[CategoryPath] = []
        for path in files:
            content = read_toml(path)
            check_names(path, content, {"categories", "shops"})
            listed += map(split_path, read_texts(path, content.get("categories", []), "categories"))
            for shop, entries in read_table(path, content, "shops").items():
                if not isinstance(entries, dict):
                    raise TableError(f"{path}: shops.{shop} must be a table, written [shops.{shop}]")
                _read_shop(path, entries, shops.setdefault(shop, ShopCategories()))
        return cls(shops, listed)

    def __bool__(self) -> bool:
        """Whether there is anything to map with."""
        return bool(self.shops or self.own)

    def covers(self, shop: str, path: Sequence[str]) -> bool:
        """Whether it is said what becomes of the category; a product without one needs nothing."""
        return not path or self._find(shop, path)[0]

    def apply(self, shop: str, path: Sequence[str]) -> CategoryPath:
        """What the category becomes; as it is where it is not covered."""
        covered, target = self._find(shop, path)
        return target if covered and target is not None else tuple(path)

    def _find(self, shop: str, path: Sequence[str]) -> tuple[bool, _Target]:
        entries = self.shops.get(shop)
        written = fold(join_path(path))
        if entries:
            if written in entries.exact:
                return True, entries.exact[written]
            for depth in range(len(path) - 1, 0, -1) if entries.below else ():
                parent = fold(join_path(path[:depth]))
                if parent in entries.below:
                    return True, entries.below[parent]
        return (True, self.own[written]) if written in self.own else (False, None)


def _read_shop(path: Path, entries: Mapping[str, Any], shop: ShopCategories) -> None:
    for written, value in entries.items():
        category = split_path(written)
        table = shop.exact
        if category and category[-1] == "*":
            category, table = category[:-1], shop.below
        if not category:
            raise TableError(f"{path}: {written!r} is no category")
        key, target = fold(join_path(category)), _read_target(path, written, value)
        if table.setdefault(key, target) != target:
            raise TableError(f"{path}: {written!r} has two entries that differ: leave one of them")


def _read_target(path: Path, written: str, value: Any) -> _Target:
    if value is True:
        return None
    if isinstance(value, str):
        target = split_path(value)
    elif isinstance(value, list):
        target = tuple(map(tidy, read_texts(path, value, repr(written))))
    else:
        raise TableError(
            f"{path}: {written!r} must become a category such as 'Women > Shoes', or true to stay as it is"
        )
    if len(target) > MAX_CATEGORY_LEVELS or not all(1 <= len(level) <= MAX_CATEGORY for level in target):
        bounds = f"at most {MAX_CATEGORY_LEVELS} levels, each 1 to {MAX_CATEGORY} characters"
        raise TableError(f"{path}: {written!r} becomes {value!r}: a category has {bounds}")
    return target
