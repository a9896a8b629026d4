"""Finds pictures that look like one met before, among all of a catalog: a table on disk."""

import itertools
import sqlite3
from collections.abc import Iterator

import numpy as np

from sosie.indexer.cleaning.likeness import CELLS, MAX_BITS, MAX_COLOUR, Likeness

MAX_CANDIDATES = 4096
"""Of one picture, how many with like colours are compared: a bound for catalogs of pictures that are nearly alike."""

_CACHE_KIB = 8192
_STEP = (
    32  # colour levels a bucket: 8 of them; with a tolerance of 8 half of all values have one neighbour to look into
)
_BUCKETS = 256 // _STEP


class Lookalikes:
    """Keeps the first of all pictures that look the same, with a name for each.

    Those that are alike have nearly the same mean colours in the middle, where the product is: six values, each in one
    of eight buckets, say where to look. SQLite holds the table in a file without a name in its folder for temporary
    files ($SQLITE_TMPDIR, $TMPDIR, /var/tmp, /tmp), about 550 bytes a picture, and in memory at most 8 MiB of it.
    """

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "temp_store = FILE"):
            self._table.execute(f"PRAGMA {pragma}")
        self._table.execute("CREATE TABLE pictures (id INTEGER PRIMARY KEY, colours BLOB, name TEXT)")
        self._table.execute(
            "CREATE TABLE buckets (bucket INT, id INT, bits INT, PRIMARY KEY (bucket, id)) WITHOUT ROWID"
        )
        self._table.execute("BEGIN")  # never committed: there is nothing to come back to

    def meet(self, likeness: Likeness, name: str) -> tuple[str, Likeness] | None:
        """The name and likeness of a picture met before that looks the same; else None, and this one is kept."""
        means = _middle_means(likeness)
        for number, bits in self._find_candidates(means):
            other_bits = bits % 2**64  # SQLite's integers have a sign
            if (other_bits ^ likeness.bits).bit_count() > MAX_BITS:
                continue
            colours, earlier = self._table.execute(
                "SELECT colours, name FROM pictures WHERE id = ?", (number,)
            ).fetchone()
            other = Likeness(other_bits, colours)
            if likeness.resembles(other):
                return earlier, other
        added = self._table.execute("INSERT INTO pictures (colours, name) VALUES (?, ?)", (likeness.colours, name))
        bucket = _pack([int(mean) // _STEP for mean in means])
        signed = likeness.bits - 2**64 if likeness.bits >= 2**63 else likeness.bits
        self._table.execute("INSERT INTO buckets VALUES (?, ?, ?)", (bucket, added.lastrowid, signed))
        return None

    def close(self) -> None:
        self._table.close()

    def _find_candidates(self, means: list[float]) -> Iterator[tuple[int, int]]:
        near = [
            sorted({int(max(mean - MAX_COLOUR, 0)) // _STEP, int(min(mean + MAX_COLOUR, 255)) // _STEP})
            for mean in means
        ]
        left = MAX_CANDIDATES
        for places in itertools.product(*near):
            if left <= 0:
                return
            rows = self._table.execute("SELECT id, bits FROM buckets WHERE bucket = ? LIMIT ?", (_pack(places), left))
            found = rows.fetchall()
            left -= len(found)
            yield from found


def _middle_means(likeness: Likeness) -> list[float]:
    """Six means over the middle, 0 to 255: red, green and blue of its upper half and of its lower half.

    Each is a mean of colour values, so two pictures whose values differ by at most MAX_COLOUR differ by no more here.
    """
    cells = np.frombuffer(likeness.colours, np.uint8).reshape(CELLS, CELLS, 3).astype(np.float64)
    edge, half = CELLS // 4, CELLS // 2
    middle = cells[edge:-edge, edge:-edge]
    return [*middle[: half // 2].mean(axis=(0, 1)), *middle[half // 2 :].mean(axis=(0, 1))]


def _pack(places: list[int] | tuple[int, ...]) -> int:
    packed = 0
    for place in places:
        packed = packed * _BUCKETS + place
    return packed
