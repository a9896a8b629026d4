"""A settings file that is read again when it changes, without a restart."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

_LOG = logging.getLogger(__name__)

_Value = TypeVar("_Value")

_PAUSE = 1.0  # seconds between two looks at the file


class ReloadedFile(Generic[_Value]):
    """What `read` makes of a file's bytes, kept up to date.

    `read` raises ValueError where the bytes are wrong, with a message that says what to change. While a changed file
    is missing or wrong, what was read before holds, and the log says why, once for each change.
    """

    def __init__(self, path: Path, read: Callable[[bytes], _Value]) -> None:
        """Reads it for the first time. Raises ValueError and OSError."""
        self.path = path
        self._read = read
        self._state = self._look()
        self._looked = time.monotonic()
        self._value = read(path.read_bytes())

    @property
    def value(self) -> _Value:
        """The newest that could be read; looks at the file at most once a second."""
        now = time.monotonic()
        if now - self._looked >= _PAUSE:
            self._looked = now
            self._refresh()
        return self._value

    def _refresh(self) -> None:
        state = self._look()
        if state == self._state:
            return
        self._state = state
        try:
            self._value = self._read(self.path.read_bytes())
        except (OSError, ValueError) as error:
            _LOG.error("%s was changed and is not taken, what it said before holds: %s", self.path, error)
        else:
            _LOG.info("%s was read again", self.path)

    def _look(self) -> tuple[int, int, int] | None:
        """What differs when the file does: secrets in a container are swapped by a link, so the inode counts too."""
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
