"""What falls out of the job, and the file that lists it."""

import errno
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO


@dataclass(frozen=True)
class Reject:
    """A line of the catalog, or one picture of it, that is not indexed, and why.

    `field` is the path of what is at fault within the product, e.g. "pictures[2].path"; empty where the whole line is.
    `file` is the name of the catalog's file, `line` is counted from 1 in it.
    """

    line: int
    reason: str
    field: str = ""
    shop: str = ""
    product_id: str = ""
    picture_id: str = ""
    file: str = ""


class Repeat(Reject):
    """A line whose product another line has as well, and which does not count."""


class RejectsFile:
    """JSON Lines of rejects, each on the disk's way as soon as it is known.

    The file is made with the first reject. One that an earlier run left is removed at the start: it would tell of
    faults that may be mended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Raises OSError where an earlier file cannot be removed, or there is no folder for a new one."""
        self.path.unlink(missing_ok=True)
        if not self.path.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "no folder for the rejects file", str(self.path.parent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def add(self, reject: Reject) -> None:
        """Raises OSError where it cannot be written."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        self._file.flush()
