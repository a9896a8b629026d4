"""A line, or a row, turned into a product."""

from google.protobuf import json_format

from sosie.indexer.reading.lines import MAX_LINE_BYTES
from sosie.indexer.reading.parquet import Record, RowError
from sosie.v1 import product_pb2

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_MESSAGE = 200


class ParseError(ValueError):
    """It is no product; the message says why, on one line."""


def parse(number: int, raw: bytes | Record | RowError | None) -> product_pb2.Product | None:
    """The product that a line or a row holds, None for an empty line. Raises ParseError."""
    return _parse_line(number, raw) if raw is None or isinstance(raw, bytes) else _parse_record(raw)


def _parse_line(number: int, raw: bytes | None) -> product_pb2.Product | None:
    if raw is None:
        raise ParseError(f"is longer than {MAX_LINE_BYTES:,} bytes")
    if number == 1:
        raw = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ParseError(f"is not UTF-8: byte {error.start + 1} is 0x{raw[error.start]:02x}") from error
    if not raw.strip():
        return None
    if not text.lstrip().startswith("{"):  # protobuf takes [] for an empty product
        raise ParseError("is not a JSON object")
    try:
        return json_format.Parse(text, product_pb2.Product())
    except json_format.ParseError as error:
        raise ParseError(f"is not a product in JSON: {_first_line(error)}") from error


def _parse_record(record: Record | RowError) -> product_pb2.Product:
    if isinstance(record, RowError):
        raise ParseError(str(record)) from record
    try:
        return json_format.ParseDict(record, product_pb2.Product())
    except json_format.ParseError as error:
        raise ParseError(f"is not a product: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = str(error).split("\n", 1)[0].strip()
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"
