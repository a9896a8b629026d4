"""What of the job's pictures is acknowledged: fills the journal as rows are written, and knows what an earlier run did.

A piece of work is one chunk of the catalog, compared with the index at once. It is done when the store has acknowledged
the rows of all its pictures, those that were found unchanged included. Pictures that fall out leave it undone, so that
a run that goes on finds, and lists, them again.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from sosie.indexer.listing import Listing
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.target.journal import Journal


@dataclass(eq=False)
class _Piece:
    """`waiting` counts rows that are to be written yet."""

    digest: str
    rows: int
    waiting: int = 0
    spoiled: bool = False


class Ledger:
    """Keeps account of a job's chunks. Used from one event loop; holds the keys of those that are at work only.

    Without a journal it keeps none, and knows of nothing that is done.
    """

    def __init__(self, journal: Journal | None, folder: PictureFolder, pool: Executor) -> None:
        self._journal = journal
        self._folder = folder
        self._pool = pool
        self._by_key: dict[str, list[_Piece]] = {}

    async def digest(self, chunk: Sequence[Listing]) -> str:
        """What the chunk's rows are made from, as 32 hexadecimal digits: the lines, and the files' sizes and dates.

        To be asked before the files are read: one that changes later then has another digest than is noted.
        """
        if self._journal is None:
            return ""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._digest, chunk)

    def is_done(self, digest: str) -> bool:
        """Whether an unfinished run before this one did that chunk."""
        return self._journal is not None and digest in self._journal

    async def begin(self, digest: str, rows: int, writing: Iterable[str], rejected: int) -> None:
        """A chunk of so many `rows` was compared: those with the keys `writing` are to be written, `rejected` fell out.

        To be called before any of them can have been written. Raises OSError.
        """
        if self._journal is None:
            return
        piece = _Piece(digest, rows, spoiled=rejected > 0)
        for key in writing:
            self._by_key.setdefault(key, []).append(piece)
            piece.waiting += 1
        await self._note([piece])

    async def acknowledge(self, keys: Iterable[str]) -> None:
        """The store has these rows. Raises OSError."""
        await self._note(self._settle(keys))

    def spoil(self, keys: Iterable[str]) -> None:
        """These will not be written."""
        for piece in self._settle(keys):
            piece.spoiled = True

    def _settle(self, keys: Iterable[str]) -> list[_Piece]:
        pieces = [piece for key in keys for piece in self._by_key.pop(key, [])]
        for piece in pieces:
            piece.waiting -= 1
        return pieces

    async def _note(self, pieces: Iterable[_Piece]) -> None:
        for piece in dict.fromkeys(pieces):
            if self._journal is not None and not piece.waiting and not piece.spoiled:
                await asyncio.to_thread(self._journal.add, piece.digest, piece.rows)

    def _digest(self, chunk: Sequence[Listing]) -> str:
        """Runs in a thread."""
        digest = hashlib.blake2b(digest_size=16)
        for listing in chunk:
            for piece in (listing.key, listing.words, listing.meta_digest(""), self._folder.stamp(listing.path)):
                raw = piece.encode()
                digest.update(len(raw).to_bytes(4, "big") + raw)
        return digest.hexdigest()
