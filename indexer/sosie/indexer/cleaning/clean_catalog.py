"""A catalog as it is indexed: cleaned, merged, without near-duplicates, and with books of all that."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sosie.indexer.catalog import Catalog
from sosie.indexer.cleaning.aliases import Aliases
from sosie.indexer.cleaning.categories import CategoryMap
from sosie.indexer.cleaning.cleaner import RULES, Cleaner
from sosie.indexer.cleaning.merging import MergeRule, make_merger
from sosie.indexer.cleaning.near_duplicates import NearDuplicates, NearMode, name_list
from sosie.indexer.entry import Entry
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.reading.files import Partition
from sosie.indexer.reading.repeats import Merger
from sosie.indexer.rejects import Reject, Repeat


@dataclass(frozen=True)
class CleaningOptions:
    """How a catalog is cleaned. Without anything said: Unicode is put right, and the first of two lines counts."""

    aliases: Aliases = field(default_factory=Aliases)
    categories: CategoryMap = field(default_factory=CategoryMap)
    merge: MergeRule = MergeRule.FIRST
    near_duplicates: NearMode = NearMode.IGNORE

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits: where they are the same, the same catalog comes to the same rows."""
        shops = {shop: [entries.exact, entries.below] for shop, entries in self.categories.shops.items()}
        said = [self.aliases.brands, self.aliases.titles, shops, self.categories.own, self.merge, self.near_duplicates]
        return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()

    def make_cleaner(self) -> Cleaner:
        return Cleaner(self.aliases, self.categories)

    def make_merger(self) -> Merger | None:
        return make_merger(self.merge)

    def watch_pictures(self, folder: PictureFolder, rejects: Path, threads: int) -> NearDuplicates | None:
        """What looks for near-duplicates, where that is asked for; its list is beside the rejects. Raises OSError."""
        if self.near_duplicates is NearMode.IGNORE:
            return None
        drop = self.near_duplicates is NearMode.DROP
        return NearDuplicates(folder, name_list(rejects), drop=drop, threads=threads)


class CleanCatalog(Catalog):
    """A catalog, read once, that counts on the way what cleaning did."""

    def __init__(
        self,
        path: Path,
        options: CleaningOptions,
        near_duplicates: NearDuplicates | None = None,
        *,
        merger: Merger | None = None,
        partition: Partition | None = None,
    ) -> None:
        """Raises OSError as Catalog does. A `merger` stands in for that of the options."""
        self.cleaner = options.make_cleaner()
        """Knows which categories are not covered."""
        super().__init__(path, cleaner=self.cleaner, merger=merger or options.make_merger(), partition=partition)
        self._near_duplicates = near_duplicates
        self._changes: Counter[str] = Counter()
        self._products = 0
        self._unmapped = 0
        self._repeats = 0

    def __iter__(self) -> Iterator[Entry | Reject]:
        """Raises OSError where reading fails midway, or the list of near-duplicates cannot be written."""
        entries = self._count(super().__iter__())
        return self._near_duplicates.watch(entries) if self._near_duplicates else entries

    @property
    def books(self) -> dict[str, Any]:
        """What was done so far, in JSON types: changes by rule, and in how many products any field was changed."""
        books: dict[str, Any] = {
            "products_changed": self._products,
            "changes": {rule: self._changes[rule] for rule in RULES},
            "unmapped_categories": self._unmapped,
            "repeated_products": self._repeats,
        }
        if self._near_duplicates:
            books["near_duplicates"] = self._near_duplicates.books
        return books

    def _count(self, found: Iterator[Entry | Reject]) -> Iterator[Entry | Reject]:
        for each in found:
            if isinstance(each, Entry):
                self._products += bool(each.changes)
                self._changes.update(change.rule for change in each.changes)
                self._unmapped += self.cleaner.find_unmapped(each.product) is not None
            else:
                self._repeats += isinstance(each, Repeat)
            yield each
