"""What a picture's file says of itself, read without a decoder, and the bytes that the decoder gets to see.

A decoder's own reader of metadata is where files of some kilobytes cost seconds, or gigabytes: overlapping EXIF
entries, text that unpacks to gigabytes, a million empty chunks. Here the few facts that count are read within bounds;
JPEG and PNG go on without the rest. Sources: W3C PNG (third edition), RFC 9649 (WebP), ISO 14496-12 (brands).
"""

import struct
import zlib
from collections.abc import Callable, Mapping

from sosie.engine.errors import InputError
from sosie.engine.image_file import (
    MAX_BYTES,
    MAX_PROFILE,
    FormatName,
    ImageFile,
    bound_profile,
    damaged,
    read_orientation,
)
from sosie.engine.image_jpeg import read_jpeg

MAX_CHUNKS = 65_536
"""Of a PNG or WebP: a PNG of 20 MiB in the usual pieces of 8 KiB has 2,560."""


def read_file(data: bytes) -> ImageFile:
    """The facts of a JPEG, PNG or WebP; nothing is decoded.

    Raises InputError (field image.data): empty, out of bounds, of another format, damaged, or a kind of JPEG that
    browsers do not show either (arithmetic coding, lossless, 12 bits).
    """
    if not data:
        raise InputError("image.data", "is empty")
    if len(data) > MAX_BYTES:
        raise InputError("image.data", f"has {len(data):,} bytes, at most {MAX_BYTES:,} are taken")
    name = name_format(data)
    for taken, read in _READERS.items():
        if name == taken:
            try:
                file = read(data)
            except (struct.error, IndexError) as error:
                raise damaged(taken) from error
            file.check()
            return file
    what = f"is {name}, which is not taken" if name else "is not a picture that can be read"
    raise InputError("image.data", f"{what}: send JPEG, PNG or WebP")


_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"%PDF", "PDF"),
    (b"<svg", "SVG"),
    (b"<?xml", "SVG or other XML"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
)
_BRANDS = (
    ("AVIF", {b"avif", b"avis"}),
    ("HEIC", {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}),
)


def name_format(data: bytes) -> str:
    """The format by the first bytes, whatever the file's name was; empty where it is none that is known here."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[at : at + 4] for at in (8, *range(16, end, 4))}
        return next((name for name, known in _BRANDS if brands & known), "a video")
    start = data[:64].lstrip().lower() if data[:1] in {b"<", b" ", b"\n", b"\r", b"\t"} else data
    return next((name for signature, name in _SIGNATURES if start.startswith(signature)), "")


_DECODED = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def _read_png(data: bytes) -> ImageFile:
    kept, orientation, profile = [data[:8]], 1, None
    position = 8
    for number in range(MAX_CHUNKS):
        length, kind = struct.unpack_from(">L4s", data, position)
        end = position + 12 + length
        if end > len(data) or (kind == b"IHDR") is not (number == 0):
            raise damaged("PNG")
        if kind in _DECODED:
            kept.append(data[position:end])
        elif kind == b"eXIf":
            orientation = read_orientation(data[position + 8 : end - 4])
        elif kind == b"iCCP":
            profile = _unpack_profile(data[position + 8 : end - 4])
        if kind == b"IEND":
            break
        position = end
    else:
        raise InputError("image.data", f"has more than {MAX_CHUNKS:,} chunks: save it anew")
    width, height = struct.unpack_from(">LL", data, 16)
    return ImageFile("PNG", width, height, orientation, profile, b"".join(kept))


def _unpack_profile(body: bytes) -> bytes | None:
    """The profile of an iCCP chunk: a name, NUL, 0 for deflate, then the packed bytes."""
    packed = body[body.find(b"\0", 0, 80) + 2 :]
    try:
        return bound_profile(zlib.decompressobj().decompress(packed, MAX_PROFILE + 1))
    except zlib.error:
        return None


_VP8_START = b"\x9d\x01\x2a"
_VP8L_START = 0x2F
_SIDE = 0x3FFF  # sides have 14 bits


def _read_webp(data: bytes) -> ImageFile:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8 " and data[23:26] == _VP8_START:
        width, height = (side & _SIDE for side in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L" and data[20] == _VP8L_START:
        bits = struct.unpack_from("<L", data, 21)[0]
        width, height = (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1
    else:
        raise damaged("WebP")
    orientation, profile = 1, None
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sL", data, position)
        if kind == b"ICCP":
            profile = bound_profile(data[position + 8 : position + 8 + length])
        elif kind == b"EXIF":
            orientation = read_orientation(data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
    return ImageFile("WebP", width, height, orientation, profile, data)


_READERS: Mapping[FormatName, Callable[[bytes], ImageFile]] = {"JPEG": read_jpeg, "PNG": _read_png, "WebP": _read_webp}
