"""Which files a catalog consists of: one, those of a folder, or those that a glob names."""

import errno
import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SUFFIXES = (".jsonl", ".ndjson")
PACKED = (".gz", ".zst")
PARQUET = ".parquet"
KINDS = "*.jsonl and *.ndjson, also with .gz or .zst, and *.parquet"

OWN = (".rejects.jsonl", ".check.jsonl", ".near-duplicates.jsonl")  # what runs leave beside a catalog
_WILD = frozenset("*?[")
_NAMED = 3


class Format(StrEnum):
    """How a file's products are packed."""

    LINES = "JSON Lines"
    GZIP = "gzip"
    ZSTD = "zstd"
    PARQUET = "Parquet"


_MAGIC = {
    b"\x1f\x8b": Format.GZIP,
    b"\x28\xb5\x2f\xfd": Format.ZSTD,
    **{bytes((low, 0x2A, 0x4D, 0x18)): Format.ZSTD for low in range(0x50, 0x60)},  # a frame to skip comes first
    b"PAR1": Format.PARQUET,
}
_REFUSED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zX": "xz", b"PARE": "encrypted Parquet"}


@dataclass(frozen=True)
class CatalogFile:
    """A file of a catalog; `name` tells it from the others, with / between folders. `size` is in bytes, as packed."""

    path: Path
    name: str
    size: int
    format: Format


@dataclass(frozen=True)
class Partition:
    """Some lines of one file, from number `first_line` on.

    `start` and `stop` count bytes of JSON Lines, row groups of Parquet; a `stop` of None is the file's end. `size` is
    how many of the file's bytes that is.
    """

    file: CatalogFile
    size: int
    start: int = 0
    stop: int | None = None
    first_line: int = 1

    @classmethod
    def whole(cls, file: CatalogFile) -> "Partition":
        return cls(file, file.size)


@dataclass(frozen=True)
class Found:
    """A catalog's files in the order in which they are read, and those of a folder that are no part of it."""

    files: tuple[CatalogFile, ...]
    left_out: int = 0
    """Files of other kinds."""
    left_out_names: tuple[str, ...] = ()
    """The first of them."""


def find_files(catalog: Path) -> Found:
    """The files that `catalog` names, ordered by their paths, folder by folder.

    A file is taken whatever it is called; of a folder and what lies below those that end as catalogs do, without names
    that begin with a dot or an underscore, which are what writers of partitioned data leave. A path that names nothing
    itself is taken as a glob, ** for any folders. The format is told from the first bytes.

    Raises OSError where there is none, or one may not be read, or is packed in another way.
    """
    if catalog.is_dir():
        root, paths = catalog, list(_walk(catalog))
    elif _WILD.isdisjoint(str(catalog)) or catalog.exists():
        return Found((_open_file(catalog, catalog.name),))
    else:
        root = fixed_part(catalog)
        paths = [Path(found) for found in glob.glob(str(catalog), recursive=True)]  # noqa: PTH207 - Path's takes no absolute patterns
        paths = [path for path in paths if not path.is_dir()]
    taken = sorted((path for path in paths if _is_catalog(path)), key=lambda path: path.parts)
    other = sorted(path.name for path in paths if not _is_catalog(path))
    if not taken:
        raise FileNotFoundError(errno.ENOENT, f"names no catalog: {KINDS}", str(catalog))
    files = tuple(_open_file(path, path.relative_to(root).as_posix()) for path in taken)
    return Found(files, len(other), tuple(other[:_NAMED]))


def holds(catalog: Path, path: Path) -> bool:
    """Whether `path` is one of the catalog's files, which a run must not write."""
    try:
        return path.resolve() in {file.path.resolve() for file in find_files(catalog).files}
    except OSError:  # there is no catalog to be harmed
        return False


def fixed_part(pattern: Path) -> Path:
    """The folder in which a glob begins to search."""
    parts = pattern.parts
    first = next((place for place, part in enumerate(parts) if not _WILD.isdisjoint(part)), len(parts) - 1)
    return Path(*parts[:first])


def name_beside(catalog: Path, ending: str) -> Path:
    """Where a run over the catalog leaves a file: beside it, called as it is but with another ending."""
    base = catalog
    if not catalog.exists() and not _WILD.isdisjoint(str(catalog)):
        base = fixed_part(catalog)
    if base.is_dir():
        return (
            base.resolve().with_name(base.resolve().name + ending)
            if base.name in {"", ".."}
            else Path(f"{base}{ending}")
        )
    stem = base.name.removesuffix(".gz").removesuffix(".zst")
    return base.with_name(stem.removesuffix(Path(stem).suffix) + ending)


def _walk(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error  # what is not seen must not pass for deleted

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (Path(folder, name) for name in names if not name.startswith((".", "_")))


def _is_catalog(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(OWN):
        return False
    for packed in PACKED:
        name = name.removesuffix(packed)
    return name.endswith((*SUFFIXES, PARQUET))


def _open_file(path: Path, name: str) -> CatalogFile:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a file", str(path))
    with path.open("rb") as file:
        start = file.read(4)
    for magic, kind in _REFUSED.items():
        if start.startswith(magic):
            raise OSError(errno.EINVAL, f"is packed as {kind}: sosie reads {KINDS}", str(path))
    packed = next((known for magic, known in _MAGIC.items() if start.startswith(magic)), Format.LINES)
    return CatalogFile(path, name, status.st_size, packed)
