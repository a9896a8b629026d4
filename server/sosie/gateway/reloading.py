"""Settings files that are read again when they change, without a restart."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

_LOG = logging.getLogger(__name__)

_Value = TypeVar("_Value")

_PAUSE = 1.0  # seconds between two looks at the file


class ReloadedFiles(Generic[_Value]):
    """What `read` makes of the bytes of files that belong together, kept up to date.

    `read` raises ValueError where the bytes are wrong, with a message that says what to change. While changed files
    are missing, wrong or being written, what was read before holds, and the log says why, once for each change.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[..., _Value]) -> None:
        """Reads them for the first time. Raises ValueError and OSError."""
        self._paths = tuple(paths)
        self._read = read
        self._state = self._look()
        self._looked = time.monotonic()
        self._value = self._read_all()

    @property
    def value(self) -> _Value:
        """The newest that could be read; looks at the files at most once a second."""
        now = time.monotonic()
        if now - self._looked >= _PAUSE:
            self._looked = now
            self._refresh()
        return self._value

    def _refresh(self) -> None:
        state = self._look()
        if state == self._state:
            return
        try:
            value = self._read_all()
        except (OSError, ValueError) as error:
            self._state = state
            _LOG.error("%s changed and is not taken, what it said before holds: %s", self, error)
            return
        if self._look() == state:  # else it is being written: the next look tells
            self._state, self._value = state, value
            _LOG.info("%s was read again", self)

    def __str__(self) -> str:
        return " with ".join(map(str, self._paths))

    def _read_all(self) -> _Value:
        return self._read(*(path.read_bytes() for path in self._paths))

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_look(path) for path in self._paths]


class ReloadedFile(ReloadedFiles[_Value]):
    """ReloadedFiles of one file."""

    def __init__(self, path: Path, read: Callable[[bytes], _Value]) -> None:
        """Reads it for the first time. Raises ValueError and OSError."""
        super().__init__((path,), read)
        self.path = path


def _look(path: Path) -> tuple[int, int, int] | None:
    """What differs when the file does: secrets in a container are swapped by a link, so the inode counts too."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
