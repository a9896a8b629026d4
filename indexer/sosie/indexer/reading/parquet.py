"""The rows of Parquet as what JSON would say of them: a column is a field of the product, under its JSON name."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from sosie.indexer.reading.files import CatalogFile, Partition

_ROWS = 256  # turned into Python's objects at once
_BUFFER = 2**20

Record: TypeAlias = dict[str, Any]
_Convert: TypeAlias = Callable[[Any], Any]


class RowError(ValueError):
    """A row holds what has no JSON; the message says what, on one line."""


class RowReader:
    """Goes through a partition of Parquet once; holds a few hundred rows, and the pages of a row group they are in."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self.bytes_read = 0
        """Of the file, judged by the rows."""

    def __iter__(self) -> Iterator[tuple[int, Record | RowError]]:
        """Each row with its number. Raises OSError where reading fails midway."""
        partition = self._partition
        with open_parquet(partition.file) as file:
            metadata = file.metadata
            groups = list(range(metadata.num_row_groups))[partition.start : partition.stop]
            total = sum(metadata.row_group(group).num_rows for group in groups)
            number = partition.first_line
            for batch in file.iter_batches(_ROWS, row_groups=groups, use_threads=False):
                for record in _read_batch(batch):
                    self.bytes_read = partition.size * (number + 1 - partition.first_line) // total
                    yield number, record
                    number += 1
        self.bytes_read = partition.size


@contextmanager
def open_parquet(file: CatalogFile) -> Iterator[pq.ParquetFile]:
    """Raises OSError with the file's name where it is damaged."""
    try:
        with pq.ParquetFile(file.path, pre_buffer=False, buffer_size=_BUFFER) as opened:
            yield opened
    except pa.ArrowException as error:
        reason = str(error).split("\n", 1)[0]
        raise OSError(errno.EIO, f"is damaged or cut off: {reason}", str(file.path)) from error


def _read_batch(batch: pa.RecordBatch) -> Iterator[Record | RowError]:
    columns = [(field.name, _converter(field.type), batch.column(place)) for place, field in enumerate(batch.schema)]
    for place in range(batch.num_rows):
        try:
            values = ((name, convert(column[place].as_py())) for name, convert, column in columns)
            yield {name: value for name, value in values if value is not None}
        except UnicodeDecodeError as error:
            yield RowError(f"is not UTF-8: {error.reason}")
        except (ValueError, OverflowError) as error:
            yield RowError(str(error).split("\n", 1)[0])


def _converter(type: pa.DataType) -> _Convert:
    """Turns what Arrow gives for a value of this type into what JSON has; null is None."""
    convert = _choose_converter(type)
    return lambda value: None if value is None else convert(value)


def _choose_converter(type: pa.DataType) -> _Convert:
    if pa.types.is_nested(type):
        return _choose_nested(type)
    if pa.types.is_dictionary(type):
        return _converter(type.value_type)
    if pa.types.is_binary(type) or pa.types.is_large_binary(type):
        return lambda value: value.decode()  # older writers do not mark text as text
    if pa.types.is_temporal(type):
        return lambda value: value.isoformat()
    if pa.types.is_decimal(type):
        return str
    return lambda value: value


def _choose_nested(type: pa.DataType) -> _Convert:
    if pa.types.is_map(type):
        inner = _converter(type.item_type)
        return lambda pairs: _join_pairs((key, inner(value)) for key, value in pairs)
    if pa.types.is_struct(type):
        fields = {field.name: _converter(field.type) for field in type}
        return lambda value: _drop_nulls((name, convert(value[name])) for name, convert in fields.items())
    each = _converter(type.value_type)
    return lambda values: [each(value) for value in values]


def _drop_nulls(pairs: Iterator[tuple[str, Any]]) -> Record:
    return {name: value for name, value in pairs if value is not None}


def _join_pairs(pairs: Iterator[tuple[str, Any]]) -> Record:
    joined: Record = {}
    for name, value in pairs:
        if name in joined:
            raise RowError(f"has the key {name!r} twice in a map")
        joined[name] = value
    return _drop_nulls(iter(joined.items()))
