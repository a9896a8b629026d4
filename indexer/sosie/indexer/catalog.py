"""A catalog: a file of sosie.v1.Product in protobuf's JSON mapping, one product a line."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google.protobuf import json_format

from sosie.indexer.entry import Entry, product_digest
from sosie.indexer.rejects import Reject
from sosie.indexer.validation import find_faults
from sosie.v1 import product_pb2

MAX_LINE_BYTES = 2**20
"""Longer lines are rejected unread: no product within its bounds needs as much."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_PARSE_MESSAGE = 200


class Catalog:
    """Reads a catalog once, line by line.

    Holds one line at a time, and 16 bytes of a hash for each product so far (in Python some 150 bytes a product), which
    is how a product that comes twice is noticed.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError where there is no readable file at `path`."""
        self.path = path
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a file")
        if not os.access(path, os.R_OK):
            raise PermissionError(f"{path} may not be read")
        self.size = status.st_size
        """Bytes."""
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Entry | Reject]:
        """Raises OSError where reading fails midway."""
        lines_by_product: dict[bytes, int] = {}
        with self.path.open("rb") as file:
            for line, raw in enumerate(self._read_lines(file), start=1):
                if raw is not None and not raw.strip():
                    continue
                found = _parse_line(line, raw)
                if isinstance(found, Entry):
                    name = product_digest(found.product)
                    earlier = lines_by_product.setdefault(name, line)
                    if earlier != line:
                        found = _reject(line, found.product, "product_id", f"is also that of line {earlier}")
                yield found

    def _read_lines(self, file: BinaryIO) -> Iterator[bytes | None]:
        """Each line, None for one that is too long."""
        while raw := file.readline(MAX_LINE_BYTES + 1):
            self.bytes_read += len(raw)
            if len(raw) <= MAX_LINE_BYTES or raw.endswith(b"\n"):
                yield raw
                continue
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE_BYTES)
                self.bytes_read += len(raw)
            yield None


def _parse_line(line: int, raw: bytes | None) -> Entry | Reject:
    if raw is None:
        return Reject(line, f"is longer than {MAX_LINE_BYTES:,} bytes")
    if line == 1:
        raw = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return Reject(line, f"is not UTF-8: byte {error.start + 1} is 0x{raw[error.start]:02x}")
    if not text.lstrip().startswith("{"):  # protobuf takes [] for an empty product
        return Reject(line, "is not a JSON object")
    product = product_pb2.Product()
    try:
        json_format.Parse(text, product)
    except json_format.ParseError as error:
        return Reject(line, f"is not a product in JSON: {_first_line(error)}")
    fault = next(find_faults(product), None)
    return _reject(line, product, fault.field, fault.problem) if fault else Entry(line, product)


def _reject(line: int, product: product_pb2.Product, field: str, problem: str) -> Reject:
    return Reject(line, f"{field} {problem}", field, product.shop, product.product_id)


def _first_line(error: json_format.ParseError) -> str:
    text = str(error).split("\n", 1)[0].strip()
    return text if len(text) <= _MAX_PARSE_MESSAGE else text[:_MAX_PARSE_MESSAGE] + "…"
