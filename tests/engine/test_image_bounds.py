"""Files that are hostile or broken: each is refused, or taken, at a bounded cost."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.pictures import SEEN, chunk, corners, encode, png, quarters, segment
from sosie.engine.errors import InputError
from sosie.engine.image import prepare
from sosie.engine.image_file import MAX_PIXELS, MAX_SIDE, MAX_WEBP_PIXELS, read_orientation
from sosie.engine.image_formats import MAX_CHUNKS, name_format, read_file
from sosie.engine.image_jpeg import MAX_SCANS, MAX_SEGMENTS
from sosie.engine.inference import ImageInput

INPUT = ImageInput(64)
JPEG = encode(quarters(), "JPEG", quality=95, subsampling=0)
PROGRESSIVE = encode(quarters(), "JPEG", quality=95, subsampling=0, progressive=True)
PNG = encode(quarters())
WEBP = encode(quarters(), "WEBP", lossless=True)
SCAN = segment(0xDA, bytes((1, 1, 0, 1, 5, 0)))  # of a progressive JPEG: refines nothing of the first layer


def refuse(data: bytes) -> str:
    """Why the picture is refused."""
    with pytest.raises(InputError) as caught:
        prepare(data, INPUT)
    assert caught.value.field == "image.data"
    return caught.value.problem


def insert(data: bytes, before: bytes, *further: bytes) -> bytes:
    at = data.index(before)
    return data[:at] + b"".join(further) + data[at:]


def with_sides(width: int, height: int) -> list[bytes]:
    """Small files that claim these sides: JPEG, PNG and the three kinds of WebP."""
    frame = JPEG.index(b"\xff\xc0") + 5
    lossy = encode(quarters(), "WEBP")
    at = lossy.index(b"\x9d\x01\x2a") + 3
    bits = struct.pack("<L", (width - 1 & 0x3FFF) | (height - 1 & 0x3FFF) << 14)
    body = WEBP.index(b"VP8L") + 9
    extended = encode(Image.new("RGBA", (50, 50), (1, 2, 3, 4)), "WEBP", exif=b"II*\0")
    canvas = extended.index(b"VP8X") + 12
    small = [
        PNG[:8] + chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)) + PNG[33:],
        extended[:canvas]
        + struct.pack("<L", width - 1 & 0xFFFFFF)[:3]
        + struct.pack("<L", height - 1 & 0xFFFFFF)[:3]
        + extended[canvas + 6 :],
    ]
    if max(width, height) < 65_536:
        small.append(JPEG[:frame] + struct.pack(">HH", height, width) + JPEG[frame + 4 :])
    if max(width, height) < 16_384:
        small.append(lossy[:at] + struct.pack("<HH", width, height) + lossy[at + 4 :])
        small.append(WEBP[:body] + bits + WEBP[body + 4 :])
    return small


@pytest.mark.parametrize("sides", [(12_000, 12_000), (65_000, 65_000), (2**20, 1), (3, 2**22)])
def test_sides_of_the_header(sides: tuple[int, int]) -> None:
    """A header that claims too many pixels, or too long a side, is refused before anything is unpacked."""
    for data in with_sides(*sides):
        tracemalloc.start()
        try:
            assert "pixels" in refuse(data)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


def test_bounds_of_pixels() -> None:
    """A picture of exactly as many pixels as are taken passes its header's check, one row more does not."""
    for data, height in zip(with_sides(5000, 10_000), (10_000, 5000, 10_000, 5000, 5000), strict=True):
        file = read_file(_with_height(data, height))
        assert file.width * file.height == (MAX_WEBP_PIXELS if file.format == "WebP" else MAX_PIXELS)
        with pytest.raises(InputError, match="pixels"):
            read_file(_with_height(data, height + 1))
    assert "a side" in refuse(with_sides(MAX_SIDE + 1, 10)[0])


def _with_height(data: bytes, height: int) -> bytes:
    kinds = [read_kind(data)]
    return next(made for made in with_sides(5000, height) if read_kind(made) in kinds)


def read_kind(data: bytes) -> bytes:
    return data[12:16] if data.startswith(b"RIFF") else data[:4]


@pytest.mark.parametrize("sides", [(0, 10), (10, 0), (0, 0)])
def test_no_pixels(sides: tuple[int, int]) -> None:
    """A picture of no pixels is refused."""
    frame = JPEG.index(b"\xff\xc0") + 5
    assert "damaged" in refuse(JPEG[:frame] + struct.pack(">HH", *sides) + JPEG[frame + 4 :])
    assert "damaged" in refuse(PNG[:8] + chunk(b"IHDR", struct.pack(">LLBBBBB", *sides, 8, 2, 0, 0, 0)) + PNG[33:])


def test_scans_without_end() -> None:
    """A progressive JPEG of more scans than any has is refused, however they are hidden; a usual one is not."""
    end = PROGRESSIVE.rindex(b"\xff\xd9")
    many = PROGRESSIVE[:end] + SCAN * (MAX_SCANS + 1) + PROGRESSIVE[end:]
    assert "scans" in refuse(many)
    comment = segment(0xFE, b"\xff\xd9")
    assert "scans" in refuse(PROGRESSIVE[:end] + (comment + SCAN) * (MAX_SCANS + 1) + PROGRESSIVE[end:])
    assert "scans" in refuse(PROGRESSIVE[:end] + segment(0xFE, SCAN) * (2 * MAX_SEGMENTS) + PROGRESSIVE[end:])
    told = PROGRESSIVE[:end] + segment(0xFE, SCAN * 1000) + PROGRESSIVE[end:] + SCAN * 1000
    np.testing.assert_allclose(corners(prepare(told, INPUT)), SEEN, atol=6)


def test_segments_without_end() -> None:
    """A JPEG of thousands of segments before its picture is refused."""
    assert "segments" in refuse(JPEG[:2] + segment(0xFE, b"") * (MAX_SEGMENTS + 1) + JPEG[2:])
    few = JPEG[:2] + segment(0xFE, b"") * (MAX_SEGMENTS // 2) + JPEG[2:]
    np.testing.assert_allclose(corners(prepare(few, INPUT)), SEEN, atol=6)


def test_chunks_without_end() -> None:
    """A PNG of tens of thousands of chunks is refused."""
    start = PNG.index(b"IDAT") - 4
    assert "chunks" in refuse(PNG[:start] + chunk(b"IDAT") * MAX_CHUNKS + PNG[start:])
    assert "chunks" in refuse(PNG[:start] + chunk(b"tEXt", b"a\0b") * MAX_CHUNKS + PNG[start:])


def test_bombs_of_text() -> None:
    """Text that unpacks to gigabytes is not unpacked."""
    packed = zlib.compress(bytes(20_000_000), 9)
    texts = [chunk(b"zTXt", b"Comment\0\0" + packed), chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed)] * 20
    tracemalloc.start()
    try:
        found = prepare(insert(PNG, PNG[33:41], *texts), INPUT)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(corners(found), SEEN, atol=6)


def test_bombs_of_profiles() -> None:
    """A profile that unpacks to gigabytes is unpacked to no more than 4 MiB, and passed over."""
    bomb = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(30_000_000), 9))
    tracemalloc.start()
    try:
        assert corners(prepare(insert(PNG, PNG[33:41], bomb), INPUT)) == SEEN
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    for broken in (b"", b"p", b"p\0\0", b"p\0\0nothing packed"):
        assert corners(prepare(insert(PNG, PNG[33:41], chunk(b"iCCP", broken)), INPUT)) == SEEN


def test_bombs_of_exif(recwarn: pytest.WarningsRecorder) -> None:
    """EXIF whose thousands of entries name overlapping values costs no more than its own bytes, and no warnings."""
    count = 5000
    entries = b"".join(struct.pack("<HHLL", 2000 + n, 7, 50_000, 8) for n in range(count))
    tiff = b"II*\0" + struct.pack("<LH", 8, count) + entries
    tracemalloc.start()
    try:
        assert corners(prepare(insert(PNG, PNG[33:41], chunk(b"eXIf", tiff)), INPUT)) == SEEN
        assert prepare(JPEG[:2] + segment(0xE1, b"Exif\0\0" + tiff) + JPEG[2:], INPUT).shape == (64, 64, 3)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert not recwarn.list
    assert read_orientation(tiff + bytes(10**6)) == 1


def test_frames_without_end() -> None:
    """An animation of thousands of frames costs its first."""
    frames = [Image.new("RGB", (20, 20), (n, 0, 0)) for n in (200, 100, 0)]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    first = data.index(b"ANMF")
    frame = data[first : data.index(b"ANMF", first + 4)]
    many = data[:first] + frame * 20_000
    found = prepare(many[:4] + struct.pack("<L", len(many) - 8) + many[8:], INPUT)
    assert np.abs(found.mean((0, 1)) - (200, 0, 0)).max() < 2


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG, WEBP], ids=["JPEG", "progressive", "PNG", "WebP"])
def test_cut_off(data: bytes) -> None:
    """A file that was cut off anywhere is refused, but for what may follow the picture."""
    useful = len(data) - (12 if data is PNG else 0)
    for share in range(20):
        problem = refuse(data[: max(13, useful * share // 20)])
        assert "cut off" in problem or "can be read" in problem


@pytest.mark.parametrize(
    ("frame", "problem"),
    [(0xC9, "rare kind"), (0xCA, "rare kind"), (0xC3, "rare kind"), (0xC5, "rare kind"), (0xCF, "rare kind")],
)
def test_rare_jpegs(frame: int, problem: str) -> None:
    """Arithmetic, lossless and hierarchical JPEGs, which browsers do not show, are refused as such."""
    at = JPEG.index(b"\xff\xc0")
    assert problem in refuse(JPEG[: at + 1] + bytes([frame]) + JPEG[at + 2 :])
    assert problem in refuse(JPEG[: at + 4] + b"\x0c" + JPEG[at + 5 :])  # 12 bits
    assert "damaged" in refuse(JPEG[:at] + JPEG[at : at + 19] * 2 + JPEG[at + 19 :])


def box(brand: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return struct.pack(">L", len(body) + 4) + body + bytes(100)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (box(b"heic", b"mif1", b"heic"), "HEIC"),
        (box(b"mif1", b"miaf", b"heix"), "HEIC"),
        (box(b"avif", b"mif1", b"avif"), "AVIF"),
        (box(b"mif1", b"avif"), "AVIF"),
        (box(b"isom", b"mp41"), "a video"),
        (b"GIF89a", "GIF"),
        (b"BM....", "BMP"),
        (b"II*\0....", "TIFF"),
        (b"\xff\x0a....", "JPEG XL"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg xmlns=", "SVG"),
        (b"  \n<!DOCTYPE HTML>", "an HTML page"),
    ],
)
def test_other_formats(start: bytes, name: str) -> None:
    """What is no JPEG, PNG or WebP is refused by the name of what it is."""
    assert refuse(start) == f"is {name}, which is not taken: send JPEG, PNG or WebP"
    assert name_format(start[:3] + b"\0") in {"", name}


def test_the_bytes_decide() -> None:
    """The format is what the bytes say: every one that is taken is recognised, and nothing that only begins alike."""
    assert [read_file(data).format for data in (JPEG, PNG, WEBP)] == ["JPEG", "PNG", "WebP"]
    for data in (b"\xff\xd8\xff", PNG[:8], b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8L"):
        assert "damaged" in refuse(data)
    assert "can be read" in refuse(b"RIFF\0\0\0\0WAVEfmt ")


def test_nothing_is_fetched() -> None:
    """A picture's bytes are all that is read: an address or a path in their place is no picture."""
    for text in (
        "https://shop.example/shoe.jpg",
        "file:///etc/hostname",
        str(Path(__file__)),
        "data:image/png;base64,",
    ):
        assert "can be read" in refuse(text.encode())


def test_decoders_see_no_metadata() -> None:
    """JPEG and PNG reach the decoder without what is not their picture."""
    secret = b"where it was taken"
    for data in (
        insert(JPEG, b"\xff\xdb", segment(0xE1, b"Exif\0\0" + secret), segment(0xED, secret), segment(0xFE, secret)),
        insert(PNG, PNG[33:41], chunk(b"tEXt", b"a\0" + secret), chunk(b"eXIf", secret), chunk(b"acTL", secret)),
    ):
        assert secret in data
        assert secret not in read_file(data).data


def test_damage_within() -> None:
    """Damage that a decoder only notices while it unpacks is refused, without its words."""
    at = PNG.index(b"IDAT") + 10
    problem = refuse(PNG[:at] + bytes(20) + PNG[at + 20 :])
    assert problem == "is a damaged or cut off PNG: send the whole file"
    assert refuse(png(10, 10, 8, 2, bytes(30 * 5))) == problem  # half of its rows
    assert refuse(PNG[:8] + chunk(b"IEND")) == problem
    assert refuse(PNG[:8] + chunk(b"IHDR")) == problem
