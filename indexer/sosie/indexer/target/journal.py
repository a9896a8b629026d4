"""The work of an unfinished run that the store has acknowledged: a file of digests, each on the disk before the next.

A piece of work is some pictures of the catalog, as `ledger` makes them. Its digest stands for all that its rows are
made from; so a run that finds it in the journal of one that died may leave these pictures alone. A journal is good for
one collection and one way of making rows, and not for long: it goes when a run comes to its end.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

MAX_AGE = 24 * 3600.0
"""Seconds since the last entry after which a journal is not believed: others may have written to the target."""

_DIGEST = 32  # hexadecimal digits


class Journal:
    """The journal at `path`, of work done under the `terms`: whatever must be as it was for the digests to hold.

    Keeps some 100 bytes an entry in memory: for pieces of 256 pictures, 40 MB for 100 million of them.
    """

    def __init__(self, path: Path, terms: Mapping[str, str]) -> None:
        self.path = path
        self._head = json.dumps({"sosie": "journal", **terms}, sort_keys=True, ensure_ascii=False)
        self._done: set[str] = set()
        self._file = -1
        self.rows = 0
        """How many rows the work so far comes to: the store has at least as many."""

    def __enter__(self) -> Self:
        """Takes up what an unfinished run left under the same terms, or begins anew. Raises OSError."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        whole = self._read()
        if whole:
            os.ftruncate(self._file, whole)  # an entry that was cut off by the run's end
            os.lseek(self._file, 0, os.SEEK_END)
        else:
            self.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self._file = -1

    def __len__(self) -> int:
        return len(self._done)

    def __contains__(self, digest: str) -> bool:
        return digest in self._done

    def add(self, digest: str, rows: int) -> None:
        """Notes a piece of work and its number of rows; it is on the disk when this returns. Raises OSError."""
        self._append(f"{digest} {rows}")
        self._done.add(digest)
        self.rows += rows

    def clear(self) -> None:
        """Begins anew, under the same terms. Raises OSError."""
        self._done.clear()
        self.rows = 0
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._append(self._head)

    def remove(self) -> None:
        """Removes the file: the run came to its end. Nothing may be added after it."""
        self.path.unlink(missing_ok=True)

    def _append(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())
        os.fsync(self._file)

    def _read(self) -> int:
        """The number of bytes that hold a journal of these terms and nothing else; 0 where it is another's."""
        if time.time() - os.fstat(self._file).st_mtime > MAX_AGE:
            return 0
        with self.path.open("rb") as file:
            if file.readline().decode(errors="replace") != f"{self._head}\n":
                return 0
            whole = file.tell()
            for line in file:
                digest, _, rows = line.decode(errors="replace").partition(" ")
                if len(digest) != _DIGEST or not line.endswith(b"\n") or not rows.strip().isdecimal():
                    break
                self._done.add(digest)
                self.rows += int(rows)
                whole = file.tell()
        return whole
