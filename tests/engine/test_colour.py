"""Colours by the file's own profile."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from engine import icc_profiles as icc
from engine.pictures import GREEN, RED, encode, quarters, segment
from sosie.engine.colour import to_srgb
from sosie.engine.image import prepare
from sosie.engine.inference import ImageInput

INPUT = ImageInput(64)


def fill(mode: str, colour: tuple[int, ...] | int) -> Image.Image:
    return Image.new(mode, (80, 80), colour)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_profiles_count(format: str) -> None:
    """A profile counts in every format; sRGB changes nothing."""
    options = {"lossless": True} if format == "WEBP" else {}
    plain = prepare(encode(fill("RGB", RED), format, **options), INPUT)
    found = prepare(encode(fill("RGB", RED), format, icc_profile=icc.make_srgb(), **options), INPUT)
    assert (found == plain).all()
    found = prepare(encode(fill("RGB", RED), format, icc_profile=icc.make_swapped(), **options), INPUT)
    np.testing.assert_allclose(found.mean((0, 1)), GREEN, atol=4)


def test_wide_gamut() -> None:
    """A colour of Display P3 is as much stronger in sRGB as its primaries say."""
    found = prepare(encode(fill("RGB", (180, 100, 100)), icc_profile=icc.make_rgb()), INPUT).mean((0, 1))
    # By hand: linear by 2.2, from P3's primaries to sRGB's, then sRGB's own curve.
    np.testing.assert_allclose(found, (192, 97, 98), atol=3)


def test_grey_profile() -> None:
    """A grey picture's own curve counts: half of the light is 188 in sRGB, not 128."""
    data = encode(fill("L", 128), "JPEG", quality=95, icc_profile=icc.make_grey(1.0))
    np.testing.assert_allclose(prepare(data, INPUT).mean((0, 1)), (188, 188, 188), atol=2)


def test_press_profile() -> None:
    """A press's profile says what its ink looks like; here any ink is red."""
    data = encode(fill("CMYK", (255, 0, 0, 0)), "JPEG", quality=95, icc_profile=icc.make_cmyk())
    red, green, blue = prepare(data, INPUT).mean((0, 1))
    assert red > green + 80
    assert red > blue + 80
    paper = encode(fill("CMYK", (0, 0, 0, 0)), "JPEG", quality=95, icc_profile=icc.make_cmyk())
    assert prepare(paper, INPUT).min() > 250


@pytest.mark.parametrize(
    "profile",
    [b"no profile", icc.make_lab(), icc.make_cmyk(), icc.make_grey(2.2), icc.make_rgb()[:200], icc.make_srgb()[:-100]],
    ids=["nonsense", "Lab", "CMYK", "grey", "cut off", "cut in a tag"],
)
def test_profiles_that_do_not_fit(profile: bytes) -> None:
    """A profile that is broken, or of other colours than the picture's, is passed over."""
    plain = prepare(encode(quarters()), INPUT)
    found = prepare(encode(quarters(), icc_profile=profile), INPUT)
    assert np.abs(found.astype(int) - plain).max() <= 2


def test_chains_are_passed_over() -> None:
    """A profile that would be evaluated for minutes is passed over."""
    found = to_srgb(fill("RGB", RED), icc.make_chained(100_000))
    assert found.getpixel((0, 0)) == RED


def test_huge_profiles_are_passed_over() -> None:
    """A profile above 4 MiB is passed over, in JPEG's many segments and in a PNG's packed bytes."""
    huge = icc.make_swapped() + bytes(5 * 2**20)
    np.testing.assert_allclose(prepare(encode(fill("RGB", RED), icc_profile=huge), INPUT).mean((0, 1)), RED, atol=2)
    data = encode(fill("RGB", RED), "JPEG", quality=95, icc_profile=huge)
    np.testing.assert_allclose(prepare(data, INPUT).mean((0, 1)), RED, atol=4)


def test_profiles_in_any_order() -> None:
    """The pieces of a JPEG's profile are put together by their numbers."""
    profile = icc.make_swapped()
    pieces = [b"ICC_PROFILE\0" + bytes((n + 1, 2)) + profile[n * 200 : (n + 1) * 200] for n in range(2)]
    plain = encode(fill("RGB", RED), "JPEG", quality=95)
    data = plain[:2] + segment(0xE2, pieces[1]) + segment(0xE2, pieces[0]) + segment(0xE2, b"ICC_PROFILE\0") + plain[2:]
    found = prepare(plain[:2] + segment(0xE2, pieces[1]) + segment(0xE2, pieces[0]) + plain[2:], INPUT)
    np.testing.assert_allclose(found.mean((0, 1)), GREEN, atol=4)
    assert prepare(data, INPUT).shape == (64, 64, 3)


def test_one_transform_serves_threads() -> None:
    """Threads that share a profile's transform get what one thread gets."""
    pictures = [quarters((100 + n, 90)) for n in range(8)]
    profile = icc.make_rgb()
    alone = [np.asarray(to_srgb(picture, profile)) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for n, found in enumerate(pool.map(lambda n: np.asarray(to_srgb(pictures[n % 8], profile)), range(200))):
            assert (found == alone[n % 8]).all()
