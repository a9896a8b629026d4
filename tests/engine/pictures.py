"""Pictures for this room's tests, and the bytes of files that no library would write."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
SEEN = [RED, GREEN, BLUE, WHITE]
"""The colours of `quarters`, clockwise from the top left."""


def encode(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def quarters(size: tuple[int, int] = (200, 200)) -> Image.Image:
    """Red, green, blue and white, clockwise from the top left."""
    picture = Image.new("RGB", size, "white")
    paint = ImageDraw.Draw(picture)
    x, y = size[0] // 2, size[1] // 2
    paint.rectangle((0, 0, x - 1, y - 1), RED)
    paint.rectangle((x, 0, size[0], y - 1), GREEN)
    paint.rectangle((x, y, size[0], size[1]), BLUE)
    return picture


def corners(pixels: npt.NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """The colours near the corners, clockwise from the top left."""
    n = len(pixels)
    return [tuple(int(v) for v in pixels[y, x]) for y, x in ((5, 5), (5, n - 6), (n - 6, n - 6), (n - 6, 5))]


def turn(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as a camera that writes this EXIF orientation stores it."""
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return picture.copy() if stored is None else picture.transpose(stored)


def exif(orientation: int) -> bytes:
    made = Image.Exif()
    made[0x0112] = orientation
    return made.tobytes()


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A PNG's chunk."""
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *further: bytes) -> bytes:
    """A PNG of these unfiltered rows, which lack their filter bytes; `further` chunks stand before them."""
    length = len(rows) // height
    raw = b"".join(b"\0" + rows[at : at + length] for at in range(0, len(rows), length))
    head = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join((head, *further, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND")))


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG's segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
