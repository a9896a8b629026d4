"""The same product in several lines: the rules by which one of them counts, each told of in the rejects."""

import enum
import itertools
from functools import cached_property

from sosie.indexer.entry import Entry, product_digest
from sosie.indexer.reading.repeats import Merger
from sosie.indexer.reading.seen import Seen
from sosie.indexer.rejects import Repeat

_MICROS = 10**6
_UNDATED = -(2**63)


class MergeRule(enum.StrEnum):
    """Which of a product's lines counts.

    first and last go by the place in the catalog, newest by `update_time` (a line without one is older than any other;
    of equals the first counts), refuse takes none of them. All but the first need the catalog to be read twice.
    """

    FIRST = "first"
    LAST = "last"
    NEWEST = "newest"
    REFUSE = "refuse"


def make_merger(rule: MergeRule) -> Merger | None:
    """The merger that keeps a rule, for one reading of one catalog; None for first, which a Catalog keeps by itself."""
    return None if rule is MergeRule.FIRST else _Surveyor(rule)


class _Surveyor:
    """Ranks the valid lines of each product in a survey, and lets the highest count."""

    surveys = True

    def __init__(self, rule: MergeRule) -> None:
        self._rule = rule
        self._order = itertools.count()

    def survey(self, entry: Entry) -> None:
        self._seen.note(product_digest(entry.product), entry.place, self._rank(entry))

    def settle(self, entry: Entry) -> Entry | Repeat:
        sighting = self._seen.find(product_digest(entry.product))
        if sighting is None:  # the file has changed since the survey
            return _repeat(entry, "was not there when the catalog was surveyed: it changes while it is read")
        if self._rule is MergeRule.REFUSE:
            if sighting.times == 1:
                return entry
            first = sighting.place.seen_from(entry.file)
            return _repeat(
                entry, f"is that of {sighting.times:,} lines, the first is {first}: --merge refuse takes none"
            )
        if sighting.place == entry.place:
            return entry
        winner = sighting.place.seen_from(entry.file)
        return _repeat(entry, f"is also that of {winner}, which counts by --merge {self._rule}")

    def close(self) -> None:
        self._seen.close()

    @cached_property
    def _seen(self) -> Seen:
        return Seen()  # where nobody reads, nothing is opened

    def _rank(self, entry: Entry) -> int:
        if self._rule is not MergeRule.NEWEST:
            return next(self._order) if self._rule is MergeRule.LAST else 0
        if not entry.product.HasField("update_time"):
            return _UNDATED
        time = entry.product.update_time
        return time.seconds * _MICROS + time.nanos // 1000  # in nanoseconds the year 9999 would not fit into 64 bits


def _repeat(entry: Entry, problem: str) -> Repeat:
    product = entry.product
    reason = f"product_id {problem}"
    return Repeat(entry.line, reason, "product_id", product.shop, product.product_id, file=entry.file)
