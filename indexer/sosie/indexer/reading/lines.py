"""The lines of JSON Lines, plain or packed."""

import errno
import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from sosie.indexer.reading.files import Format, Partition

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile
else:
    from backports.zstd import ZstdError, ZstdFile

MAX_LINE_BYTES = 2**20
"""Longer lines are rejected unread: no product within its bounds needs as much."""


class LineReader:
    """Goes through a partition of JSON Lines once; holds one line at a time, and what the unpacking needs.

    That is up to 128 MiB of zstd, where it was packed with the longest window that is taken.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self.bytes_read = 0
        """Of the file, as it is packed."""

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        """Each line with its number; None for one that is too long. Raises OSError where reading fails midway."""
        partition = self._partition
        path = partition.file.path
        with path.open("rb") as raw, _name_faults(path), _unpack(raw, partition.file.format) as lines:
            raw.seek(partition.start)
            number = partition.first_line
            while partition.stop is None or raw.tell() < partition.stop:
                line = _read_line(lines)
                self.bytes_read = raw.tell() - partition.start
                if line == b"":
                    return
                yield number, line
                number += 1


def _read_line(lines: BinaryIO) -> bytes | None:
    """The next line, empty at the end; None for one that is too long, which is read but not kept."""
    line = lines.readline(MAX_LINE_BYTES + 1)
    if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n"):
        return line
    while line and not line.endswith(b"\n"):
        line = lines.readline(MAX_LINE_BYTES)
    return None


@contextmanager
def _unpack(raw: BinaryIO, format: Format) -> Iterator[BinaryIO]:
    if format is Format.GZIP:
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield cast("BinaryIO", unpacked)
    elif format is Format.ZSTD:
        with ZstdFile(raw) as unpacked:
            yield cast("BinaryIO", unpacked)
    else:
        yield raw


@contextmanager
def _name_faults(path: Path) -> Iterator[None]:
    """Turns what the unpacking finds into OSError with the file's name."""
    try:
        yield
    except (EOFError, zlib.error, ZstdError, gzip.BadGzipFile) as error:
        raise OSError(errno.EIO, f"is damaged or cut off: {error}", str(path)) from error
