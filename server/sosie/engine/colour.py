"""From the colours of a file's ICC profile to sRGB."""

import io
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_STEPS = (0, 51, 102, 153, 204, 255)  # of each channel, to see whether a profile changes anything
_ALIKE = 1  # levels out of 255: rounding, not colour


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, by the file's own profile where it has one for its mode (L, RGB or CMYK), else as the values are.

    A profile that is broken or of another kind of colours is passed over. Safe to use from threads.
    """
    transform = _build_transform(profile, picture.mode) if profile else None
    if transform is None:
        return picture.convert("RGB")
    converted = ImageCms.applyTransform(picture, transform)
    return picture.convert("RGB") if converted is None else converted


@lru_cache(maxsize=16)
def _build_transform(profile: bytes, mode: str) -> Any:
    """The way to sRGB from a profile; None where it is none, or is sRGB itself, as most are.

    Building one takes 4 ms and more, several times what a small picture costs, and most pictures share a few profiles.
    """
    if b"mpet" in profile:
        return None  # a chain of any length for each of a table's 36,000 places: 40 KB of profile take 10 s
    try:
        source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if mode != "CMYK":
        grid = [(step,) * 3 for step in range(256)] if mode == "L" else list(product(_STEPS, repeat=3))
        colours = Image.fromarray(np.array([grid], np.uint8))
        tested = ImageCms.applyTransform(colours.convert(mode), transform)
        if tested is not None and np.abs(np.asarray(tested, int) - np.asarray(colours, int)).max() <= _ALIKE:
            return None
    return transform
