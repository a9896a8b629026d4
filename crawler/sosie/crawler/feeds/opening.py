"""A feed's bytes, unpacked as they are read."""

import errno
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sosie.crawler.feeds.errors import FeedError

CHUNK = 2**14
"""Bytes at a time: the elements of so few are read while they are in the processor's cache."""

_GZIP = b"\x1f\x8b"
_REFUSED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zX": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def open_feed(path: Path) -> BinaryIO:
    """Raises OSError where there is no such file, or it may not be read."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is not a file", str(path))
    return path.open("rb")


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The feed in pieces of at most 16 KiB, unpacked where its first bytes are gzip's.

    Several members of gzip are read as one. Raises FeedError where the packing is damaged or another one, OSError where
    reading fails.
    """
    start = file.read(CHUNK)
    for magic, packing in _REFUSED.items():
        if start.startswith(magic):
            raise FeedError(f"is packed as {packing}: sosie reads feeds plain or by gzip")
    if not start.startswith(_GZIP):
        yield start
        while chunk := file.read(CHUNK):
            yield chunk
        return
    with gzip.GzipFile(fileobj=_Prefixed(start, file)) as unpacked:  # type: ignore[call-overload]  # reads are all it needs
        try:
            while chunk := unpacked.read(CHUNK):
                yield chunk
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FeedError(f"is damaged or cut off: {error}") from error


class _Prefixed:
    """A file whose first bytes were read already: a pipe cannot be wound back."""

    def __init__(self, start: bytes, file: BinaryIO) -> None:
        self._start = start
        self._file = file

    def read(self, size: int) -> bytes:
        if not self._start:
            return self._file.read(size)
        first, self._start = self._start[:size], self._start[size:]
        return first
