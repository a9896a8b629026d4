"""Pictures of every kind that cameras, shops and editors write."""

import io
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from engine.pictures import BLUE, GREEN, RED, SEEN, chunk, corners, encode, exif, png, quarters, segment, turn
from sosie.engine.errors import InputError
from sosie.engine.image import Crop, prepare
from sosie.engine.inference import ImageInput

INPUT = ImageInput(64)
RESIZES: Any = ("shortest", "longest", "squash")
GREY = np.arange(64, dtype=np.uint16).repeat(64).reshape(64, 64) * 1040


def stripes(width: int, height: int) -> Image.Image:
    """Every row and column of another colour."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([255 * y / height, 255 * x / width, (x + y) % 256], -1).astype(np.uint8))


def prepare_by_pillow(seen: Image.Image, image_input: ImageInput, crop: Crop) -> npt.NDArray[np.uint8]:
    """The reference: whole, upright, RGB, one bicubic resize."""
    box = [crop.left * seen.width, crop.top * seen.height, crop.right * seen.width, crop.bottom * seen.height]
    width, height, size = box[2] - box[0], box[3] - box[1], image_input.size
    if image_input.resize == "shortest":
        side, x, y = min(width, height), (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        box = [x - side / 2, y - side / 2, x + side / 2, y + side / 2]
    target = (size, size)
    if image_input.resize == "longest":
        target = (round(width * size / max(width, height)), round(height * size / max(width, height)))
    return np.asarray(seen.resize(target, Image.Resampling.BICUBIC, box=(box[0], box[1], box[2], box[3])))


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_crops_of_turned_pictures(orientation: int, resize: Any) -> None:
    """A crop of a turned picture is what Pillow cuts from the upright one, in PNG, WebP and JPEG."""
    seen, image_input, crop = stripes(100, 60), ImageInput(32, resize), Crop(0.1, 0.3, 0.55, 0.9)
    wanted = prepare_by_pillow(seen, image_input, crop).astype(int)
    top, left = (32 - wanted.shape[0]) // 2, (32 - wanted.shape[1]) // 2
    stored = turn(seen, orientation)
    for data in (
        encode(stored, "PNG", exif=exif(orientation)),
        encode(stored, "WEBP", lossless=True, exif=exif(orientation)),
    ):
        found = prepare(data, image_input, crop)[top : top + wanted.shape[0], left : left + wanted.shape[1]]
        assert np.abs(found - wanted).max() <= 1
    lossy = encode(stored, "JPEG", quality=100, subsampling=0, exif=exif(orientation))
    found = prepare(lossy, image_input, crop)[top : top + wanted.shape[0], left : left + wanted.shape[1]]
    assert np.abs(found - wanted).mean() < 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_make_no_sense(orientation: int, format: str) -> None:
    """An orientation out of 1 to 8 is passed over."""
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(quarters(), format, exif=exif(orientation), **options)
    np.testing.assert_allclose(corners(prepare(data, INPUT)), SEEN, atol=6)


@pytest.mark.parametrize(
    "broken",
    [b"", b"II*\0", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff\x01", b"nothing of TIFF"],
)
def test_broken_exif(broken: bytes) -> None:
    """Broken EXIF is no reason to refuse a picture."""
    np.testing.assert_allclose(corners(prepare(encode(quarters(), "PNG", exif=broken), INPUT)), SEEN, atol=6)
    plain = encode(quarters(), "JPEG", quality=95)
    data = plain[:2] + segment(0xE1, b"Exif\0\0" + broken) + plain[2:]
    np.testing.assert_allclose(corners(prepare(data, INPUT)), SEEN, atol=6)


def test_long_orientation() -> None:
    """An orientation that was written as four bytes counts, in both byte orders."""
    for order, head in (("<", b"II*\0"), (">", b"MM\0*")):
        tiff = head + struct.pack(order + "LHHHLLL", 8, 1, 0x0112, 4, 1, 3, 0)
        data = encode(turn(quarters(), 3), "PNG", exif=tiff)
        np.testing.assert_allclose(corners(prepare(data, INPUT)), SEEN, atol=6)


@pytest.mark.parametrize("colour", [0, 2, 4, 6], ids=["grey", "RGB", "grey, alpha", "RGBA"])
def test_sixteen_bits(colour: int) -> None:
    """Of 16 bits the upper 8 count, with and without alpha."""
    layers = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    values = np.repeat(GREY[:, :, None], layers, 2)
    if colour in {4, 6}:
        values[..., -1] = 0xFFFF
    found = prepare(png(64, 64, 16, colour, values.astype(">u2").tobytes()), INPUT)
    assert np.abs(found.astype(int) - (GREY >> 8)[:, :, None]).max() <= 1


@pytest.mark.parametrize(
    ("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (1, 3)]
)
def test_a_transparent_colour(depth: int, colour: int) -> None:
    """The one colour that a PNG names as transparent is white, at every depth."""
    layers = 3 if colour == 2 else 1
    value, further = bytes(layers * max(1, depth // 8)), [chunk(b"tRNS", bytes(2 * layers))]
    if colour == 3:
        further = [chunk(b"PLTE", bytes((255, 0, 0, 0, 0, 255))), chunk(b"tRNS", b"\0")]
    row = value * 64 if depth >= 8 else bytes(64 * depth // 8)
    assert (prepare(png(64, 64, depth, colour, row * 64, *further), INPUT) == 255).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_mixed_with_white(mode: str) -> None:
    """What is half transparent is half white, and the edge of a shape has no hem of the colour that is hidden."""
    picture = Image.new("LA", (90, 90), (0, 128)).convert(mode)
    assert np.abs(prepare(encode(picture), INPUT).astype(int) - 127).max() <= 1
    assert np.abs(prepare(encode(picture, "WEBP", lossless=True), INPUT).astype(int) - 127).max() <= 1
    hidden = Image.new("LA", (90, 90), (0, 0))
    hidden.paste((255, 255), (0, 0, 45, 90))
    assert (prepare(encode(hidden.convert(mode)), INPUT) == 255).all()


def test_press_colours() -> None:
    """CMYK is read as Adobe writes it, inverted; so is YCCK."""
    ink = Image.merge("CMYK", [Image.new("L", (80, 80), value) for value in (0, 255, 255, 0)])
    np.testing.assert_allclose(prepare(encode(ink, "JPEG", quality=95), INPUT).mean((0, 1)), RED, atol=6)
    # As YCCK red is luma and chroma of its ink, as RGB cyan. Pillow inverts what it writes: it is handed the inverse.
    layers = Image.new("RGB", (80, 80), (0, 255, 255)).convert("YCbCr").split()
    stored = Image.merge(
        "CMYK", [*(Image.eval(layer, lambda v: 255 - v) for layer in layers), Image.new("L", (80, 80))]
    )
    plain = encode(stored, "JPEG", quality=95)
    at = plain.index(b"Adobe")
    assert plain[at + 11] == 0  # the transform: none
    data = plain[: at + 11] + b"\x02" + plain[at + 12 :]
    np.testing.assert_allclose(prepare(data, INPUT).mean((0, 1)), RED, atol=8)


def test_rgb_jpeg() -> None:
    """A JPEG that holds RGB as it is, which Adobe's segment says, is not taken for luma and chroma."""
    data = encode(quarters(), "JPEG", quality=95, keep_rgb=True, subsampling=0)
    np.testing.assert_allclose(corners(prepare(data, INPUT)), SEEN, atol=6)


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}])
def test_ways_of_jpeg(options: dict[str, Any]) -> None:
    """Progressive JPEG, own tables and restart markers are read."""
    data = encode(quarters(), "JPEG", quality=95, subsampling=0, **options)
    np.testing.assert_allclose(corners(prepare(data, INPUT)), SEEN, atol=6)


def test_what_follows_a_jpeg() -> None:
    """A phone's second picture or film after the first is passed over, and so is garbage, before segments too."""
    data = encode(quarters(), "JPEG", quality=95, subsampling=0)
    several = io.BytesIO()
    quarters().save(several, "MPO", save_all=True, append_images=[Image.new("RGB", (200, 200))], quality=95)
    head = data.index(b"\xff\xdb")
    junk = data[:head] + b"junk" + data[head:]
    for file in (data + bytes(1000), data + b"\xff\xda" * 1000, several.getvalue(), junk):
        np.testing.assert_allclose(corners(prepare(file, INPUT)), SEEN, atol=24)


def test_first_frames() -> None:
    """Of animations the first frame counts, in WebP and in PNG."""
    frames = [Image.new("RGB", (80, 80), colour) for colour in (RED, BLUE, GREEN)]
    for kind in ("WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=40, **options)
        np.testing.assert_allclose(prepare(data, INPUT).mean((0, 1)), RED, atol=3)


THIN = [
    (kind, size)
    for kind, longest in (("JPEG", 65_500), ("PNG", 65_535), ("WEBP", 16_383))
    for size in [(1, 1), (1, 3000), (3000, 1), (2, longest), (longest, 2), (16_383, 3)]
]
"""Formats, and sizes up to what each can hold."""


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(("format", "size"), THIN)
def test_thin_pictures(format: str, size: tuple[int, int], resize: Any) -> None:
    """Pictures of a pixel's width are taken in every format, up to the longest that it can hold."""
    found = prepare(encode(Image.new("RGB", size, RED), format), ImageInput(64, resize))
    assert np.abs(found.astype(int) - RED).max() <= 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_thin_crops(mode: str) -> None:
    """A crop of one row or column is taken in every mode."""
    data = encode(stripes(300, 200).convert(mode))
    for crop in (Crop(0.5, 0, 0.5034, 1), Crop(0, 0.995, 1, 1), Crop(0.9966, 0.995, 1, 1)):
        for resize in RESIZES:
            assert prepare(data, ImageInput(64, resize), crop).shape == (64, 64, 3)


@pytest.mark.parametrize("crop", [Crop(float("nan"), 0, 1, 1), Crop(0, 0, float("inf"), 1), Crop(1e-45, 0, 2e-45, 1)])
def test_crops_that_are_no_boxes(crop: Crop) -> None:
    """NaN, infinities and boxes of no width are refused."""
    with pytest.raises(InputError) as caught:
        prepare(encode(quarters()), INPUT, crop)
    assert caught.value.field == "image.crop"


def test_threads_do_not_mix() -> None:
    """Threads that prepare different pictures at once get what one thread gets."""
    files = [encode(quarters((200 + n, 150)), kind) for n in range(4) for kind in ("JPEG", "PNG", "WEBP")]
    alone = [prepare(data, INPUT) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for n, found in enumerate(pool.map(lambda n: prepare(files[n % len(files)], INPUT), range(96))):
            assert (found == alone[n % len(files)]).all()
