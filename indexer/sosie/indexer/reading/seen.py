"""What has been met before: a table on disk, so that memory does not grow with the catalog."""

import sqlite3
from types import TracebackType
from typing import NamedTuple, Self

from sosie.indexer.entry import Place

_CACHE_KIB = 8192

_NOTE = """
INSERT INTO seen VALUES (?, ?, ?, ?, 1) ON CONFLICT (digest) DO UPDATE SET
    times = times + 1,
    file = CASE WHEN excluded.rank > rank THEN excluded.file ELSE file END,
    line = CASE WHEN excluded.rank > rank THEN excluded.line ELSE line END,
    rank = max(rank, excluded.rank)
RETURNING file, line, times
"""


class Sighting(NamedTuple):
    """Where something counts, and how many times it was met."""

    place: Place
    times: int


class Seen:
    """Keeps for each digest the place of the highest rank, of equals the earliest, and how often it was met.

    SQLite holds it in a file without a name in its folder for temporary files ($SQLITE_TMPDIR, $TMPDIR, /var/tmp,
    /tmp), some 35 bytes a digest, and in memory at most 8 MiB of it. Used by one thread at a time, which may change.
    """

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "temp_store = FILE"):
            self._table.execute(f"PRAGMA {pragma}")
        self._table.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, rank INT, file INT, line INT, times INT) WITHOUT ROWID"
        )
        self._table.execute("BEGIN")  # never committed: there is nothing to come back to
        self._numbers: dict[str, int] = {}
        self._files: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def note(self, digest: bytes, place: Place, rank: int = 0) -> Sighting:
        """Notes that it was met here; the answer counts this time too. `rank` is a number of 64 bits.

        Raises OSError where the folder for temporary files is full.
        """
        number = self._numbers.setdefault(place.file, len(self._files))
        if number == len(self._files):
            self._files.append(place.file)
        try:
            (row,) = self._table.execute(_NOTE, (digest, rank, number, place.line)).fetchall()
        except sqlite3.OperationalError as error:
            raise OSError(f"cannot keep what was met: {error} (in $TMPDIR, or /var/tmp)") from error
        return self._sighting(row)

    def find(self, digest: bytes) -> Sighting | None:
        """What is known of it, None where it was not met."""
        row = self._table.execute("SELECT file, line, times FROM seen WHERE digest = ?", (digest,)).fetchone()
        return self._sighting(row) if row else None

    def close(self) -> None:
        self._table.close()

    def _sighting(self, row: tuple[int, int, int]) -> Sighting:
        number, line, times = row
        return Sighting(Place(self._files[number], line), times)
