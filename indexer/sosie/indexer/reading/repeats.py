"""The same product in several lines: who decides which of them counts."""

from collections.abc import Mapping
from typing import Protocol

from sosie.indexer.entry import Entry, Place, product_digest
from sosie.indexer.reading.seen import Seen
from sosie.indexer.rejects import Repeat


class Merger(Protocol):
    """Decides which line counts where several have the same product. Serves one reading of one catalog."""

    @property
    def surveys(self) -> bool:
        """Whether every valid line must be shown to `survey` before the first is settled."""

    def survey(self, entry: Entry) -> None:
        """Takes note of a line."""

    def settle(self, entry: Entry) -> Entry | Repeat:
        """The line itself where it counts."""

    def close(self) -> None:
        """Lets go of what it noted."""


class FirstCounts:
    """The first valid line of a product counts."""

    surveys = False

    def __init__(self) -> None:
        self._seen = Seen()

    def survey(self, entry: Entry) -> None:
        pass

    def settle(self, entry: Entry) -> Entry | Repeat:
        first = self._seen.note(product_digest(entry.product), entry.place).place
        if first == entry.place:
            return entry
        product = entry.product
        reason = f"product_id is also that of {first.seen_from(entry.file)}"
        return Repeat(entry.line, reason, "product_id", product.shop, product.product_id, file=entry.file)

    def close(self) -> None:
        self._seen.close()


class Settled:
    """Knows from an earlier reading of the whole catalog which lines do not count: for partitions read alone."""

    surveys = False

    def __init__(self, repeats: Mapping[Place, Repeat]) -> None:
        """`repeats` as Catalog.find_repeats gives them."""
        self._repeats = repeats

    def survey(self, entry: Entry) -> None:
        pass

    def settle(self, entry: Entry) -> Entry | Repeat:
        return self._repeats.get(entry.place, entry)

    def close(self) -> None:
        pass
