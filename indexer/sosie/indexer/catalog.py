"""A catalog: sosie.v1.Product a line, in protobuf's JSON mapping, or a row of Parquet, in one file or many."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sosie.indexer.entry import Change, Entry, Place
from sosie.indexer.reading.cutting import cut
from sosie.indexer.reading.files import Format, Partition, find_files
from sosie.indexer.reading.lines import LineReader
from sosie.indexer.reading.parquet import RowReader
from sosie.indexer.reading.parsing import ParseError, parse
from sosie.indexer.reading.repeats import FirstCounts, Merger
from sosie.indexer.rejects import Reject, Repeat
from sosie.indexer.validation import find_faults
from sosie.v1 import product_pb2

PARTITION_BYTES = 64 * 2**20


class Cleaner(Protocol):
    """Puts a product's words into one form."""

    def clean(self, product: product_pb2.Product) -> Sequence[Change]:
        """Changes the product itself, before it is held against its bounds; says what it changed."""


class Catalog:
    """Reads a catalog once: its files in the order of their paths, each from its beginning.

    Holds one line at a time, or a few hundred rows of Parquet. What the merger must know of all products is on disk.
    """

    def __init__(
        self,
        path: Path,
        *,
        cleaner: Cleaner | None = None,
        merger: Merger | None = None,
        partition: Partition | None = None,
    ) -> None:
        """`path` is a file, a folder or a glob; with a `partition` of it nothing else is read.

        Raises OSError where there is nothing to read at `path`, or one of its files may not be read.
        """
        self.path = path
        found = find_files(path) if partition is None else None
        self.partitions = [Partition.whole(file) for file in found.files] if found else [partition] if partition else []
        self.left_out = found.left_out_names if found else ()
        """The first few of a folder's files that are none of a catalog's kinds."""
        self.left_out_count = found.left_out if found else 0
        self.size = sum(piece.size for piece in self.partitions)
        """Bytes, as the files are packed."""
        self.bytes_read = 0
        self._cleaner = cleaner
        self._merger = merger

    @property
    def share(self) -> float:
        """How much of it this reading has gone through, 0 to 1."""
        return self.bytes_read / self.size if self.size else 0.0

    def cut(self, size: int = PARTITION_BYTES) -> list[Partition]:
        """The catalog in pieces of about `size` bytes that can be read alone. Raises OSError."""
        return cut([piece.file for piece in self.partitions], size)

    def __iter__(self) -> Iterator[Entry | Reject]:
        """Raises OSError where reading fails midway."""
        merger = self._merger or FirstCounts()
        try:
            if merger.surveys:
                for found in self._read():
                    if isinstance(found, Entry):
                        merger.survey(found)
            for found in self._read():
                yield merger.settle(found) if isinstance(found, Entry) else found
        finally:
            merger.close()

    def find_repeats(self) -> dict[Place, Repeat]:
        """The lines that do not count, for `Settled`: reads the whole catalog. Raises OSError."""
        return {Place(found.file, found.line): found for found in self if isinstance(found, Repeat)}

    def _read(self) -> Iterator[Entry | Reject]:
        self.bytes_read = 0
        for piece in self.partitions:
            before = self.bytes_read
            reader = RowReader(piece) if piece.file.format is Format.PARQUET else LineReader(piece)
            for number, raw in reader:
                self.bytes_read = before + reader.bytes_read
                place = Place(piece.file.name, number)
                try:
                    product = parse(number, raw)
                except ParseError as error:
                    yield Reject(number, str(error), file=piece.file.name)
                    continue
                if product is not None:
                    yield self._check(place, product)
            self.bytes_read = before + piece.size

    def _check(self, place: Place, product: product_pb2.Product) -> Entry | Reject:
        changes = tuple(self._cleaner.clean(product)) if self._cleaner else ()
        fault = next(find_faults(product), None)
        if fault is None:
            return Entry(place.line, product, place.file, changes)
        reason = f"{fault.field} {fault.problem}"
        return Reject(place.line, reason, fault.field, product.shop, product.product_id, file=place.file)
