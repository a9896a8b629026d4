"""A product as a catalog's line gave it."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from sosie.v1 import product_pb2


class Place(NamedTuple):
    """Where a catalog says something: its file's name, and the number of the line, or of Parquet's row, from 1."""

    file: str
    line: int

    def seen_from(self, file: str) -> str:
        """The place in words, for a message that is about a line of `file`."""
        return f"line {self.line}" if self.file == file else f"line {self.line} of {self.file}"


@dataclass(frozen=True)
class Change:
    """What cleaning made of a field; `rule` says which kind of cleaning."""

    rule: str
    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Entry:
    """A product that keeps within its bounds, the number of its line, counted from 1, and the name of its file."""

    line: int
    product: product_pb2.Product
    file: str = ""
    changes: tuple[Change, ...] = ()
    """What cleaning changed in the product."""

    @property
    def place(self) -> Place:
        return Place(self.file, self.line)


def product_digest(product: product_pb2.Product) -> bytes:
    """16 bytes that name the product: a BLAKE2 hash over shop and product id."""
    name = f"{len(product.shop)}:{product.shop}{product.product_id}"
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
