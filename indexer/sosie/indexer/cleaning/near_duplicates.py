"""Pictures that look the same: told of, and where that is wished left out."""

import enum
import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from sosie.engine.errors import InputError
from sosie.indexer.cleaning.likeness import Likeness
from sosie.indexer.cleaning.lookalikes import Lookalikes
from sosie.indexer.entry import Entry
from sosie.indexer.pictures import PictureError, PictureFolder
from sosie.indexer.rejects import Reject

AHEAD = 64
"""Products whose pictures are looked at side by side."""


class NearMode(enum.StrEnum):
    """What becomes of pictures that look the same: nothing, they are listed, or listed and left out."""

    IGNORE = "ignore"
    REPORT = "report"
    DROP = "drop"


def name_list(rejects: Path) -> Path:
    """Where pairs are listed: beside the rejects, which are in `rejects`."""
    return rejects.with_name(rejects.name.removesuffix(".jsonl").removesuffix(".rejects") + ".near-duplicates.jsonl")


@dataclass(frozen=True)
class PictureName:
    """Where a picture is listed."""

    file: str
    line: int
    shop: str
    product_id: str
    picture_id: str


@dataclass(frozen=True)
class Pair:
    """A picture that looks like one listed before: in how many bits of 64 and by how much of 255 they differ at most.

    `dropped` says that the product is indexed without it.
    """

    picture: PictureName
    like: PictureName
    bits: int
    colour: int
    dropped: bool

    @property
    def within(self) -> bool:
        """Whether both are pictures of one product."""
        return (self.picture.shop, self.picture.product_id) == (self.like.shop, self.like.product_id)


class NearDuplicates:
    """Looks at a catalog's pictures on their way, and lists pairs in a file of JSON Lines, made with the first.

    A picture is dropped only where its product has another that looks the same: of two products with the same
    photograph each is a product. Memory is bounded; reads and decodes every picture.
    """

    def __init__(self, folder: PictureFolder, path: Path, *, drop: bool, threads: int) -> None:
        """`path` is that of the list; raises OSError where one that an earlier run left cannot be removed."""
        path.unlink(missing_ok=True)
        self.path = path
        self.within = 0
        """Pairs within a product."""
        self.across = 0
        """Pairs of two products."""
        self.dropped = 0
        self._folder = folder
        self._drop = drop
        self._threads = threads
        self._file: TextIO | None = None

    @property
    def books(self) -> dict[str, int | str | None]:
        """What was found so far, in JSON types; the list's path where there is one."""
        return {
            "within_products": self.within,
            "across_products": self.across,
            "dropped": self.dropped,
            "file": str(self.path) if self.within or self.across else None,
        }

    def watch(self, entries: Iterable[Entry | Reject]) -> Iterator[Entry | Reject]:
        """The same in the same order, less what is dropped. Raises OSError where the list cannot be written."""
        lookalikes = Lookalikes()
        waiting: deque[tuple[Entry | Reject, list[Future[Likeness | None]]]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="likeness") as pool:
            try:
                for entry in entries:
                    pictures = entry.product.pictures if isinstance(entry, Entry) else ()
                    waiting.append((entry, [pool.submit(self._look, picture.path) for picture in pictures]))
                    if len(waiting) >= AHEAD:
                        yield self._settle(*waiting.popleft(), lookalikes)
                while waiting:
                    yield self._settle(*waiting.popleft(), lookalikes)
            finally:
                for _, looks in waiting:
                    for look in looks:
                        look.cancel()
                lookalikes.close()
                if self._file:
                    self._file.close()

    def _look(self, path: str) -> Likeness | None:
        """Runs in a thread; None for a picture that the job will reject."""
        try:
            return Likeness.of(self._folder.read(path))
        except (PictureError, InputError):
            return None

    def _settle(
        self, entry: Entry | Reject, looks: list[Future[Likeness | None]], lookalikes: Lookalikes
    ) -> Entry | Reject:
        if not isinstance(entry, Entry):
            return entry
        kept: list[tuple[PictureName, Likeness]] = []
        dropped = []
        for place, (picture, look) in enumerate(zip(entry.product.pictures, looks, strict=True)):
            likeness = look.result()
            if likeness is None:
                continue
            name = PictureName(entry.file, entry.line, entry.product.shop, entry.product.product_id, picture.id)
            twin = next(((other, its) for other, its in kept if likeness.resembles(its)), None)
            if twin:
                self._note(name, likeness, *twin, dropped=self._drop)
                dropped += [place] if self._drop else []
                continue
            kept.append((name, likeness))
            if found := lookalikes.meet(likeness, json.dumps(asdict(name))):
                earlier, its = found
                self._note(name, likeness, PictureName(**json.loads(earlier)), its, dropped=False)
        for place in reversed(dropped):
            del entry.product.pictures[place]
        return entry

    def _note(self, name: PictureName, likeness: Likeness, other: PictureName, its: Likeness, *, dropped: bool) -> None:
        pair = Pair(name, other, likeness.differing_bits(its), likeness.differing_colour(its), dropped)
        self.dropped += dropped
        if pair.within:
            self.within += 1
        else:
            self.across += 1
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        self._file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
        self._file.flush()
