"""The index of picture vectors: what it promises.

One row is one picture. Its key is a hash of shop, product and picture, so writing a picture again replaces it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sosie.engine.space import EmbeddingSpace, Vector

MAX_ROWS = 16_384
"""Rows of one search: what Milvus allows."""

MAX_PAYLOAD = 49_149
"""Bytes of a row's payload: in base64 the most that Milvus keeps in a VARCHAR of 65,535."""


def picture_key(shop: str, product_id: str, picture_id: str) -> str:
    """The key of a picture's row: 32 hexadecimal digits of a BLAKE2 hash over the three names."""
    return hash_names(shop, product_id, picture_id)


def product_key(shop: str, product_id: str) -> str:
    """What the rows of a product's pictures have in common, made as their keys are."""
    return hash_names(shop, product_id)


def hash_names(*names: str, size: int = 16) -> str:
    """2 * `size` hexadecimal digits of a BLAKE2 hash over some names, which may hold any text."""
    digest = hashlib.blake2b(digest_size=size)
    for name in names:
        raw = name.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)  # without the length ("a", "bc") and ("ab", "c") were one
    return digest.hexdigest()


@dataclass(frozen=True)
class Facets:
    """What filters look at. `price_micros` is millionths of a unit of `currency`; both are None without a price."""

    shop: str
    brand: str = ""
    category_path: tuple[str, ...] = ()
    currency: str | None = None
    price_micros: int | None = None
    in_stock: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A picture as the index holds it.

    `product_key` is the same for all pictures of a product, `position` counts them from 0, and `pictures` is how many
    there are, 0 where that is not known. `payload` is what the application wants back with a hit, opaque to the engine.
    `content` and `meta` are digests that tell the indexer whether the vector, or the rest of the row, has to be made
    anew.
    """

    key: str
    product_key: str
    position: int
    vector: Vector
    facets: Facets
    payload: bytes
    content: str = ""
    meta: str = ""
    pictures: int = 0


@dataclass(frozen=True)
class Filter:
    """What a row must be: all that is set must hold. Prices are in millionths, both bounds included.

    `product_keys` are the products that pass, `other_than` those that do not.
    """

    shops: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    category_prefix: tuple[str, ...] = ()
    currency: str | None = None
    min_price_micros: int | None = None
    max_price_micros: int | None = None
    in_stock: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    product_keys: tuple[str, ...] = ()
    other_than: tuple[str, ...] = ()


class Match(NamedTuple):
    """A row that a search found. `dot` is the inner product of its vector with the query's.

    `payload` gives the row's payload: most rows that are found are not shown, and need not be unpacked.
    """

    key: str
    product_key: str
    position: int
    pictures: int
    dot: float
    payload: Callable[[], bytes]


@dataclass(frozen=True)
class Digests:
    """What a row was made from (see Row)."""

    content: str
    meta: str


class Held(NamedTuple):
    """A row as a page lists it (see Row)."""

    key: str
    product_key: str
    content: str
    meta: str


class VectorStore(Protocol):
    """A collection of rows in one embedding space.

    Every method takes `timeout` in seconds and raises BackendUnavailableError, BackendTimeoutError or BackendError;
    all but `create` raise NoIndexError where there is no collection.
    """

    async def space(self, *, timeout: float) -> EmbeddingSpace:
        """The space that the collection was built in."""
        ...

    async def probe(self, *, timeout: float) -> EmbeddingSpace:
        """The same, and searches once: raises what keeps searches from being answered."""
        ...

    async def create(self, space: EmbeddingSpace, *, timeout: float) -> None:
        """Makes the collection unless it is there. Raises SpaceMismatchError if it is there in another space."""
        ...

    async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
        """Writes rows, each replacing the one with its key. They are durable when this returns."""
        ...

    async def flush(self, *, timeout: float) -> None:
        """Moves what was written to where it is quick to search; to be called after much was, not after each write."""
        ...

    async def is_settled(self, *, timeout: float) -> bool:
        """Whether searches go by the index of all that was flushed; until then they may miss neighbours."""
        ...

    async def delete(self, keys: Sequence[str], *, timeout: float) -> None:
        """Removes rows; keys that are not there are no error."""
        ...

    async def search(self, vector: Vector, *, limit: int, filter: Filter, timeout: float) -> list[Match]:
        """The `limit` rows (1..16,384) with the greatest inner product, the greatest first."""
        ...

    async def fetch(self, keys: Sequence[str], *, timeout: float) -> dict[str, Vector]:
        """The vectors of those keys that are there."""
        ...

    async def first_picture(self, product_key: str, *, timeout: float) -> str | None:
        """The key of a product's first picture, None where the product is not there."""
        ...

    async def digests(self, keys: Sequence[str], *, timeout: float) -> dict[str, Digests]:
        """The digests of those keys that are there."""
        ...

    async def payloads(self, keys: Sequence[str], *, timeout: float) -> dict[str, bytes]:
        """The payloads of those keys that are there."""
        ...

    async def page(self, *, after: str = "", limit: int, filter: Filter | None = None, timeout: float) -> list[Held]:
        """The first `limit` rows (1..16,384) that pass and whose key is greater than `after`, in the order of keys.

        Fewer than `limit` are the last ones. So all rows are seen in pages, however many there are: each begins after
        the last key of the one before. What is written or deleted meanwhile may be on its page or not.
        """
        ...

    async def count(self, *, filter: Filter | None = None, timeout: float) -> int:
        """How many rows there are, or how many of them pass: with all that anybody wrote before."""
        ...

    async def close(self) -> None: ...
