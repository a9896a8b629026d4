"""What a catalog lists, kept as keys on disk: how a run knows which rows of the index the catalog no longer has."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from sosie.engine.store import Held, picture_key, product_key
from sosie.indexer.entry import Entry
from sosie.indexer.rejects import Reject
from sosie.indexer.target.errors import RefusedError

_CACHE = 8192  # KiB of pages in memory; the rest is in a file without a name, which goes with the process
_TOGETHER = 1000  # products between two writes

_TABLES = f"""
PRAGMA cache_size = -{_CACHE};
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE pictures (key BLOB);
CREATE TABLE products (key BLOB, valid INTEGER);
CREATE TABLE shops (name BLOB PRIMARY KEY) WITHOUT ROWID;
"""
# Hashes that were put in order one by one would touch another page each.
_INDEXES = """
CREATE INDEX picture_keys ON pictures (key);
CREATE INDEX product_keys ON products (key, valid);
"""


class Listed:
    """The pictures, products and shops of one catalog.

    A product all of whose lines were rejected counts as listed with whatever pictures the index has of it: its line is
    a fault to mend, no sign that the shop sells it no more.
    """

    def __init__(self) -> None:
        # Catalogs are read in threads, one at a time.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.executescript(_TABLES)
        self._pictures: list[tuple[bytes]] = []
        self._products: list[tuple[bytes, bool]] = []
        self._shops: set[bytes] = set()
        self.complete = False
        """Whether the catalog was read to its end."""
        self.nameless = 0
        """Lines so broken that they name no product: any product may have been meant."""

    def watch(self, catalog: Iterable[Entry | Reject]) -> Iterator[Entry | Reject]:
        """What the catalog yields, noted on its way."""
        for found in catalog:
            if isinstance(found, Entry):
                self._note(found)
            elif found.shop and found.product_id:
                self._products.append((_pack(product_key(found.shop, found.product_id)), False))
            else:
                self.nameless += 1
            if len(self._products) >= _TOGETHER:
                self._save()
            yield found
        self._save()
        self._database.executescript(_INDEXES)
        self.complete = True

    def check_complete(self) -> None:
        """Raises RefusedError where the catalog may list more than is known."""
        if not self.complete:
            raise RefusedError("the catalog was not read to its end")

    def shops(self) -> list[str]:
        """Those with a valid product, by name."""
        return [name.decode() for (name,) in self._database.execute("SELECT name FROM shops ORDER BY name")]

    def find_missing(self, rows: Sequence[Held]) -> list[str]:
        """The keys of those rows, at most 32,000, whose picture the catalog does not list. It must be complete."""
        listed = self._find("SELECT key FROM pictures WHERE key IN ({})", [row.key for row in rows])
        rest = [row for row in rows if row.key not in listed]
        kept = self._find(
            "SELECT key FROM products WHERE key IN ({}) GROUP BY key HAVING NOT max(valid)",
            sorted({row.product_key for row in rest}),
        )
        return [row.key for row in rest if row.product_key not in kept]

    def close(self) -> None:
        self._database.close()

    def _note(self, entry: Entry) -> None:
        product = entry.product
        self._shops.add(product.shop.encode())
        self._products.append((_pack(product_key(product.shop, product.product_id)), True))
        self._pictures += [
            (_pack(picture_key(product.shop, product.product_id, picture.id)),) for picture in product.pictures
        ]

    def _save(self) -> None:
        run = self._database.executemany
        run("INSERT INTO pictures VALUES (?)", self._pictures)
        run("INSERT INTO products VALUES (?, ?)", self._products)
        run("INSERT OR IGNORE INTO shops VALUES (?)", [(name,) for name in self._shops])
        self._database.commit()
        self._pictures.clear()
        self._products.clear()
        self._shops.clear()

    def _find(self, question: str, keys: Sequence[str]) -> set[str]:
        asked = question.format(", ".join("?" * len(keys)))
        return {key.hex() for (key,) in self._database.execute(asked, list(map(_pack, keys)))}


def _pack(key: str) -> bytes:
    """Half the size: keys are hexadecimal digits."""
    return bytes.fromhex(key)
