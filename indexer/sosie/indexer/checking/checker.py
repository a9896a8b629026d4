"""Goes through a catalog as an indexing would, and says of each line what that would come to."""

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import islice
from typing import Protocol

from sosie.indexer.checking.pictures import Look, PictureCheck
from sosie.indexer.checking.prices import Medians, judge_price
from sosie.indexer.checking.verdicts import Finding, Line, Verdict
from sosie.indexer.entry import Entry
from sosie.indexer.listing import list_pictures
from sosie.indexer.reading.seen import Seen
from sosie.indexer.rejects import Reject, Repeat
from sosie.v1 import product_pb2

REPEATED = "product repeated"
UNMAPPED = "category unmapped"

_LINES = 64  # whose pictures are looked at side by side


class Categories(Protocol):
    """Knows what the category files cover."""

    def find_unmapped(self, product: product_pb2.Product) -> str | None:
        """The category where they do not."""


class Checker:
    """Checks the lines of one catalog, in their order. Memory is bounded."""

    def __init__(
        self, *, medians: Medians, categories: Categories, pictures: PictureCheck | None, pool: Executor
    ) -> None:
        """`medians` have been noted before; without `pictures` no file is looked at; `pool` has threads that do."""
        self._medians = medians
        self._categories = categories
        self._pictures = pictures
        self._pool = pool

    def check(self, catalog: Iterable[Entry | Reject]) -> Iterator[Line]:
        """Raises OSError where reading the catalog fails midway."""
        lines = iter(catalog)
        with Seen() as shown:
            while chunk := list(islice(lines, _LINES)):
                looks = self._look([found for found in chunk if isinstance(found, Entry)])
                for found in chunk:
                    yield self._check_entry(found, looks, shown) if isinstance(found, Entry) else _tell(found)

    def _look(self, entries: Sequence[Entry]) -> Iterator[Look]:
        """At the pictures of these products, one after the other."""
        paths = [picture.path for entry in entries for picture in entry.product.pictures]
        return iter(self._pool.map(self._pictures.look, paths)) if self._pictures else iter([])

    def _check_entry(self, entry: Entry, looks: Iterator[Look], shown: Seen) -> Line:
        product = entry.product
        pictures = list(_judge_pictures(entry, looks, shown)) if self._pictures else []
        listed = list_pictures(entry)
        if isinstance(listed, Reject):
            return _tell(listed)
        unmapped = self._categories.find_unmapped(product) or ""
        findings = (*pictures, *judge_price(product, self._medians), *_judge_category(unmapped), *_judge_words(entry))
        count = len(product.pictures)
        return Line(entry.file, entry.line, product.shop, product.product_id, count, findings, unmapped)


def name_field(field: str) -> str:
    """A field's path without places and names of attributes: what rejects are counted by."""
    return re.sub(r"\[.*?\]", "[]", field) or "line"


def _judge_pictures(entry: Entry, looks: Iterator[Look], shown: Seen) -> Iterator[Finding]:
    """Pictures that cannot be used, and those that an earlier product shows."""
    for place, picture in enumerate(entry.product.pictures):
        look = next(looks)
        field = f"pictures[{place}].path"
        if look.reason:
            yield Finding(Verdict.PARTIAL, look.reason, field, f"{field} {look.problem}")
            continue
        first = shown.note(look.digest, entry.place).place
        if first != entry.place:
            text = f"{field} shows the same as {first.seen_from(entry.file)}: {picture.path!r}"
            yield Finding(Verdict.DOUBTFUL, "picture shared", field, text)


def _judge_category(unmapped: str) -> Iterator[Finding]:
    if unmapped:
        text = f"category_path is covered by no category file: {unmapped!r}"
        yield Finding(Verdict.DOUBTFUL, UNMAPPED, "category_path", text)


def _judge_words(entry: Entry) -> Iterator[Finding]:
    for change in entry.changes:
        text = f"{change.field} {change.before!r} becomes {change.after!r}"
        yield Finding(Verdict.CHANGED, f"cleaned {change.rule}", change.field, text)


def _tell(reject: Reject) -> Line:
    reason = REPEATED if isinstance(reject, Repeat) else name_field(reject.field)
    finding = Finding(Verdict.REJECTED, reason, reject.field, reject.reason)
    return Line(reject.file, reject.line, reject.shop, reject.product_id, 0, (finding,))
