"""The catalog's pictures folder: reading a file of it, safely and in bounds."""

import hashlib
import os
from pathlib import Path

from sosie.engine.image import MAX_BYTES


class PictureError(Exception):
    """A picture's file cannot be used; the message says why, on one line."""


class PictureFolder:
    """Gives the bytes of pictures by their path in the folder; safe to use from threads."""

    def __init__(self, root: Path) -> None:
        """Raises OSError where there is no folder at `root`."""
        self._root = root.resolve(strict=True)
        if not self._root.is_dir():
            raise NotADirectoryError(f"{root} is not a folder")

    def read(self, path: str) -> bytes:
        """The file's bytes.

        Raises PictureError: no such file, not a regular file, too large, unreadable, or outside the folder once links
        are followed.
        """
        try:
            with self._find(path).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise PictureError(f"cannot be read: {path!r} ({_why(error)})") from error
        _check_size(path, len(data))
        return data

    def check(self, path: str) -> None:
        """Looks whether there is something to read. Raises PictureError as `read`, and where the file is empty."""
        full = self._find(path)
        try:
            size = full.stat().st_size
        except OSError as error:
            raise PictureError(f"cannot be read: {path!r} ({_why(error)})") from error
        _check_size(path, size)
        if not size:
            raise PictureError(f"is empty: {path!r}")
        if not os.access(full, os.R_OK):
            raise PictureError(f"cannot be read: {path!r} (Permission denied)")

    def stamp(self, path: str) -> str:
        """What tells, without reading it, that a file is the one it was: its number, size and dates."""
        try:
            status = (self._root / path).stat()
        except (OSError, ValueError):
            return ""
        return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"

    def digest(self, path: str) -> str:
        """The digest of a file as it is now; errors as `read`."""
        return picture_digest(self.read(path))

    def _find(self, path: str) -> Path:
        try:
            full = (self._root / path).resolve(strict=True)
            if not full.is_relative_to(self._root):
                raise PictureError(f"leads out of the pictures folder: {path!r}")
            if not full.is_file():  # to open a named pipe would be to wait for its other end
                raise PictureError(f"is not a file: {path!r}")
        except FileNotFoundError as error:
            raise PictureError(f"names no file in the pictures folder: {path!r}") from error
        except (OSError, RuntimeError, ValueError) as error:  # resolve() raises RuntimeError on a loop of links
            raise PictureError(f"cannot be read: {path!r} ({_why(error)})") from error
        return full


def picture_digest(data: bytes) -> str:
    """32 hexadecimal digits of a BLAKE2 hash over a file's bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _check_size(path: str, size: int) -> None:
    if size > MAX_BYTES:
        raise PictureError(f"has more than {MAX_BYTES:,} bytes: {path!r}")


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
