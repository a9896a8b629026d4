"""Small valid files of every kind that is taken, and ways to spoil them."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from engine import icc_profiles as icc
from engine.pictures import chunk, exif, png, segment


def draw(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A picture in which something is to be seen."""
    y, x = np.mgrid[: size[1], : size[0]]
    layers = [x * 6 % 256, y * 8 % 256, (x * y) % 256]
    return Image.fromarray(np.stack(layers, -1).astype(np.uint8)).convert(mode)


@cache
def make_corpus() -> Mapping[str, bytes]:
    """The valid files by name."""
    frames = [draw(), draw().rotate(90), draw().rotate(180)]
    several = {"save_all": True, "append_images": frames[1:], "duration": 30}
    sixteen = np.arange(40 * 30, dtype=">u2").reshape(30, 40) * 50
    corpus = {
        "jpeg": _encode(draw(), "JPEG"),
        "jpeg-444": _encode(draw(), "JPEG", quality=97, subsampling=0),
        "jpeg-grey": _encode(draw("L"), "JPEG", icc_profile=icc.make_grey(1.8)),
        "jpeg-cmyk": _encode(draw("CMYK"), "JPEG", icc_profile=icc.make_cmyk()),
        "jpeg-progressive": _encode(draw(size=(90, 70)), "JPEG", progressive=True),
        "jpeg-restarts": _encode(draw(), "JPEG", restart_marker_blocks=2),
        "jpeg-exif": _encode(draw(), "JPEG", exif=exif(6), icc_profile=icc.make_rgb()),
        "jpeg-segments": _with_segments(_encode(draw(), "JPEG")),
        "mpo": _encode(draw(), "MPO", **several),
        "png": _encode(draw(), "PNG"),
        "png-alpha": _encode(draw("RGBA"), "PNG", exif=exif(8)),
        "png-grey-alpha": _encode(draw("LA"), "PNG"),
        "png-palette": _encode(draw("P"), "PNG", transparency=bytes(range(256))),
        "png-bits": _encode(draw("1"), "PNG"),
        "png-16": png(40, 30, 16, 0, sixteen.tobytes(), chunk(b"tRNS", b"\x01\0")),
        "png-16-rgba": png(40, 30, 16, 6, np.repeat(sixteen, 4).tobytes()),
        "png-profile": _encode(draw(), "PNG", icc_profile=icc.make_rgb()),
        "png-interlaced": png(8, 8, 8, 2, bytes(8 * 24))[:28] + b"\1" + png(8, 8, 8, 2, bytes(8 * 24))[29:],
        "apng": _encode(draw(), "PNG", **several),
        "webp": _encode(draw(), "WEBP"),
        "webp-lossless": _encode(draw(), "WEBP", lossless=True, exif=exif(3)),
        "webp-alpha": _encode(draw("RGBA"), "WEBP", icc_profile=icc.make_srgb()),
        "webp-animated": _encode(draw(), "WEBP", **several),
    }
    return {name: data for name, data in corpus.items() if data}


def _encode(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def _with_segments(data: bytes) -> bytes:
    further = (segment(0xED, b"Photoshop 3.0\x008BIM"), segment(0xFE, b"a comment"), segment(0xE1, b"http://ns.adobe"))
    return data[:20] + b"".join(further) + data[20:]


def spoil(rng: random.Random, data: bytes) -> bytes:
    """The file with one to four faults."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(_WAYS)(rng, data)
    return data


def _flip_bits(rng: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice((1, 3, 20))):
        if made:
            made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def _flip_head(rng: random.Random, data: bytes) -> bytes:
    head = min(len(data), rng.choice((32, 64, 200)))
    return _flip_bits(rng, data[:head]) + data[head:]


def _write_number(rng: random.Random, data: bytes) -> bytes:
    """A number that a reader may trust, somewhere."""
    number = rng.choice((0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32)))
    made = struct.pack(rng.choice("<>") + ("L" if number > 0xFFFF else rng.choice("HL")), number)
    at = rng.randrange(max(1, min(len(data), rng.choice((64, 10**6)))))
    return data[:at] + made + data[at + len(made) :]


def _cut_off(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _cut_out(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 2, 4, 13, 100)) :]


def _double(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    piece = data[start : start + rng.choice((1, 4, 12, 60, 1000))]
    return data[:start] + piece * rng.choice((2, 3, 50)) + data[start:]


def _insert_noise(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 4, 64, 2000))) + data[at:]


def _splice(rng: random.Random, data: bytes) -> bytes:
    """The beginning of this file and the end of another."""
    other = rng.choice(list(make_corpus().values()))
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


def _shuffle_parts(rng: random.Random, data: bytes) -> bytes:
    """A PNG's chunks, a JPEG's segments or a WebP's chunks in another order, some twice, some left out."""
    marks = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"iCCP", b"fcTL", b"fdAT", b"acTL"]
    marks += [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANMF", b"ANIM", b"ICCP", b"EXIF"]
    marks += [bytes((0xFF, marker)) for marker in (0xC0, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE)]
    offset = 4 if data.startswith(b"\x89PNG") else 0
    places = sorted({at - offset for mark in marks if (at := data.find(mark, 8)) > 8})
    if not places:
        return data
    parts = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    drawn: Sequence[bytes] = rng.choices(parts, k=len(parts)) if rng.random() < 0.5 else rng.sample(parts, len(parts))
    return data[: places[0]] + b"".join(drawn)


def _spoil_within(rng: random.Random, data: bytes) -> bytes:
    """A PNG whose chunks' bodies are spoilt, their lengths and sums right; of others the body of one part."""
    if not data.startswith(b"\x89PNG"):
        return data[:40] + _flip_bits(rng, data[40:])
    position, made = 8, data[:8]
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, position)
        body = data[position + 8 : position + 8 + length]
        position += 12 + length
        if rng.random() < 0.3:
            body = _spoil_rows(rng, body) if kind == b"IDAT" else _flip_bits(rng, body)
        made += chunk(kind, body)
    return made


def _spoil_rows(rng: random.Random, packed: bytes) -> bytes:
    try:
        rows = zlib.decompress(packed)
    except zlib.error:
        return packed
    return zlib.compress(rng.choice((_flip_bits, _cut_off, _double, _insert_noise))(rng, rows))


_WAYS: Sequence[Callable[[random.Random, bytes], bytes]] = (
    _flip_bits,
    _flip_bits,
    _flip_head,
    _flip_head,
    _write_number,
    _write_number,
    _cut_off,
    _cut_out,
    _double,
    _insert_noise,
    _splice,
    _shuffle_parts,
    _spoil_within,
    _spoil_within,
    _spoil_within,
)
