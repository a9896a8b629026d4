"""A catalog in pieces that can be read alone, on any machine that sees its files."""

from collections.abc import Iterator, Sequence

from sosie.indexer.reading.files import CatalogFile, Format, Partition
from sosie.indexer.reading.parquet import open_parquet

_BLOCK = 2**20


def cut(files: Sequence[CatalogFile], size: int) -> list[Partition]:
    """The files in pieces of about `size` bytes, in their order.

    JSON Lines are read once for it, to number the lines. What is packed by gzip or zstd stays whole, as does a row
    group of Parquet. Raises OSError where a file cannot be read.
    """
    return [partition for file in files for partition in _cut_file(file, size)]


def _cut_file(file: CatalogFile, size: int) -> Iterator[Partition]:
    if file.format is Format.PARQUET:
        yield from _cut_row_groups(file, size)
    elif file.format is Format.LINES and file.size > size:
        yield from _cut_lines(file, size)
    else:
        yield Partition.whole(file)


def _cut_lines(file: CatalogFile, size: int) -> Iterator[Partition]:
    start, first_line, line, position = 0, 1, 1, 0
    with file.path.open("rb") as raw:
        while block := raw.read(_BLOCK):
            done = 0
            while (end := block.find(b"\n", max(done, start + size - position)) + 1) > 0:
                line += block.count(b"\n", done, end)
                yield Partition(file, position + end - start, start, position + end, first_line)
                start, first_line, done = position + end, line, end
            line += block.count(b"\n", done)
            position += len(block)
    if position > start:
        yield Partition(file, position - start, start, None, first_line)


def _cut_row_groups(file: CatalogFile, size: int) -> Iterator[Partition]:
    with open_parquet(file) as parquet:
        groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
        weights = [
            sum(group.column(place).total_compressed_size for place in range(group.num_columns)) for group in groups
        ]
    start, first_line, line, weight = 0, 1, 1, 0
    for number, group in enumerate(groups, start=1):
        weight += weights[number - 1]
        line += group.num_rows
        if weight >= size or number == len(groups):
            yield Partition(file, weight, start, number, first_line)
            start, first_line, weight = number, line, 0
