"""What training shows of a picture: another crop, mirrored, in other light, with a piece missing.

It works on uint8 pictures with OpenCV, about a millisecond each, and each draw depends on the seed, the epoch and the
picture alone: a run that goes on after an interruption sees what it would have seen.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sosie.engine.inference import Pictures


@dataclass(frozen=True)
class Augmentation:
    """How much is changed.

    A crop holds `area` of the picture with sides in a ratio up to `stretch`; brightness, contrast and saturation change
    by up to `light` of themselves; with probability `erased` a box of up to a quarter of the picture becomes noise.
    """

    area: tuple[float, float] = (0.35, 1.0)
    stretch: float = 4 / 3
    light: float = 0.25
    erased: float = 0.25


NONE = Augmentation(area=(1.0, 1.0), stretch=1.0, light=0.0, erased=0.0)

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_TRIES = 10


def augment(picture: Pictures, size: int, rng: np.random.Generator, how: Augmentation) -> Pictures:
    """A view [size, size, 3] of a picture [height, width, 3]."""
    top, left, height, width = _draw_box(picture.shape[0], picture.shape[1], rng, how.area, how.stretch)
    crop = picture[top : top + height, left : left + width]
    shrinks = height > size or width > size
    view = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if rng.random() < 0.5:  # noqa: PLR2004  # one of two
        view = view[:, ::-1]
    if how.light:
        view = _relight(view, rng, how.light)
    view = np.ascontiguousarray(view)
    if rng.random() < how.erased:
        top, left, height, width = _draw_box(size, size, rng, (0.02, 0.25), 3.0)
        view[top : top + height, left : left + width] = rng.integers(0, 256, (height, width, 3), np.uint8)
    return view


def _draw_box(
    height: int, width: int, rng: np.random.Generator, area: tuple[float, float], stretch: float
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a box of that share of the picture; the whole one if none is found that fits."""
    for _ in range(_TRIES):
        wanted = height * width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(-math.log(stretch), math.log(stretch)))
        rows, columns = round(math.sqrt(wanted / ratio)), round(math.sqrt(wanted * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
            return int(top), int(left), rows, columns
    return 0, 0, height, width


def _relight(view: Pictures, rng: np.random.Generator, light: float) -> Pictures:
    """Saturation, contrast and brightness in one linear step."""
    brightness, contrast, saturation = rng.uniform(1 - light, 1 + light, 3)
    values = view.astype(np.float32)
    grey = values @ _GREY
    mean = float(grey.mean())
    mixed = (grey * (1 - saturation))[..., None] + values * saturation
    lit = ((mixed - mean) * contrast + mean) * brightness
    changed: Pictures = lit.clip(0, 255).astype(np.uint8)
    return changed
