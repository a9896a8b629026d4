"""From a file's bytes to the square an encoder reads."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.pictures import BLUE, RED, SEEN, corners, encode, exif, quarters, turn
from sosie.engine.errors import InputError
from sosie.engine.image import MAX_BYTES, Crop, prepare
from sosie.engine.inference import ImageInput

INPUT = ImageInput(64)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG"])
def test_formats(format: str) -> None:
    """PNG, WebP and JPEG give the same picture."""
    options = {"lossless": True} if format == "WEBP" else {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    pixels = prepare(encode(quarters(), format, **options), INPUT)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(corners(pixels), SEEN, atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int) -> None:
    """A picture is seen as its EXIF orientation says, and the crop is of what one sees."""
    data = encode(turn(quarters((300, 200)), orientation), "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    np.testing.assert_allclose(corners(prepare(data, INPUT)), SEEN, atol=6)
    cropped = prepare(data, INPUT, Crop(0.5, 0.5, 1, 1))
    np.testing.assert_allclose(cropped.mean((0, 1)), BLUE, atol=12)


def test_transparency_lies_on_white() -> None:
    """What is transparent is white, whatever colour hides there; so is a palette's transparent colour."""
    clear = Image.new("RGBA", (90, 90), (255, 0, 0, 0))
    assert (prepare(encode(clear), INPUT) == 255).all()
    palette = Image.new("P", (90, 90), 0)
    palette.putpalette([255, 0, 0] + [0, 0, 0] * 255)
    assert (prepare(encode(palette, transparency=0), INPUT) == 255).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "I;16", "RGBA", "CMYK"])
def test_modes(mode: str) -> None:
    """Every mode that the formats know becomes RGB of the same brightness."""
    if mode == "I;16":
        picture = Image.fromarray(np.full((90, 90), 0x8080, np.uint16))
    else:
        picture = Image.new("L", (90, 90), 255 if mode == "1" else 128)
        picture = picture.convert("RGB").convert("CMYK") if mode == "CMYK" else picture.convert(mode)
    data = encode(picture, "JPEG" if mode == "CMYK" else "PNG")
    pixels = prepare(data, INPUT)
    assert abs(float(pixels.mean()) - (255 if mode == "1" else 128)) < 3


def test_animation_gives_its_first_frame() -> None:
    """Of an animation the first frame counts."""
    frames = [Image.new("RGB", (80, 80), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_allclose(prepare(data, INPUT).mean((0, 1)), RED, atol=3)


@pytest.mark.parametrize(
    ("resize", "left", "right"),
    [("shortest", (0, 255, 0), (0, 255, 0)), ("squash", RED, BLUE), ("longest", RED, BLUE)],
)
def test_resize(resize: Any, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Shortest keeps the middle square, squash and longest keep all, longest pads with the border's colour."""
    wide = Image.new("RGB", (300, 100), (0, 255, 0))
    ImageDraw.Draw(wide).rectangle((0, 0, 99, 99), "red")
    ImageDraw.Draw(wide).rectangle((200, 0, 299, 99), "blue")
    pixels = prepare(encode(wide), ImageInput(60, resize))
    assert tuple(pixels[30, 2]) == left
    assert tuple(pixels[30, 57]) == right
    if resize == "longest":
        assert (pixels[:20] == pixels[0, 0]).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (2000, 7)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    """Pictures of any proportion are taken."""
    for resize in ("shortest", "longest", "squash"):
        assert prepare(encode(Image.new("RGB", size, "red")), ImageInput(64, resize)).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"GIF89a" + bytes(50), "JPEG, PNG or WebP"),
        (encode(Image.new("RGB", (9, 9)), "GIF"), "JPEG, PNG or WebP"),
        (encode(quarters(), "JPEG")[:-200], "damaged"),
        (encode(quarters(), "PNG")[:60], "damaged"),
        (encode(Image.new("1", (10_000, 6_000))), "pixels"),
        (encode(Image.new("1", (20_000, 20_000))), "pixels"),
        (bytes(MAX_BYTES + 1), "bytes"),
    ],
    ids=["empty", "gif-like", "gif", "cut jpeg", "cut png", "60 megapixels", "400 megapixels", "too long"],
)
def test_bad_data(data: bytes, problem: str) -> None:
    """What cannot be read is refused with the field and what is wrong."""
    with pytest.raises(InputError, match=problem) as caught:
        prepare(data, INPUT)
    assert caught.value.field == "image.data"


@pytest.mark.parametrize("crop", [Crop(0.5, 0, 0.5, 1), Crop(0, 0, 1, 1.01), Crop(-0.1, 0, 1, 1), Crop(0, 0.9, 1, 0.1)])
def test_bad_crop(crop: Crop) -> None:
    """An empty or outside crop is refused."""
    with pytest.raises(InputError) as caught:
        prepare(encode(quarters()), INPUT, crop)
    assert caught.value.field == "image.crop"


def test_crop_below_a_pixel() -> None:
    """A crop that holds no whole pixel is refused."""
    with pytest.raises(InputError, match="no whole pixel"):
        prepare(encode(quarters()), INPUT, Crop(0.5, 0.5, 0.5001, 0.5001))
