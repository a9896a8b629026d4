"""From a file's bytes to the square uint8 picture that an encoder reads.

The reference is what the encoders were trained with: Pillow's antialiased bicubic filter on the whole picture. Here a
JPEG is decoded at the smallest of its scales (1/2, 1/4, 1/8) that leaves 2.5 times the size that is needed, which costs
a fraction of the time and keeps the embedding (mean cosine above 0.9995). Whatever can wait until the picture is small
does: colours, transparency, orientation.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from sosie.engine.colour import to_srgb
from sosie.engine.errors import InputError
from sosie.engine.image_file import MAX_BYTES, ImageFile, damaged
from sosie.engine.image_formats import read_file
from sosie.engine.inference import ImageInput

__all__ = ["FORMATS", "MAX_BYTES", "WHOLE", "Crop", "prepare"]

FORMATS = ("JPEG", "PNG", "WEBP")
"""As Pillow names them."""

# Both by benchmarks/image_path.py: the least at which the mean cosine to the reference stays above 0.9995.
_KEPT_SCALE = 2.5  # of the target, when a JPEG is decoded smaller; at 2 its embeddings have 0.9993, at 1 0.97
_REDUCING_GAP = 4  # of the target, down to which whole pixels are averaged before the filter; at 2 it is 0.9992

_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """A box in relative coordinates, 0..1, of the picture as a person sees it (its orientation put right)."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def check(self) -> None:
        """Raises InputError where the box is empty or leads out of the picture."""
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise InputError("image.crop", f"needs 0 <= left < right <= 1 and 0 <= top < bottom <= 1, got {self}")


WHOLE = Crop()


@dataclass(frozen=True)
class _Turn:
    """How a stored picture becomes the one that a person sees: mirrored, then its axes swapped."""

    mirror_x: bool = False
    mirror_y: bool = False
    swap: bool = False

    def find(self, crop: Crop) -> _Box:
        """Where the stored picture has what a person sees in `crop`; both relative."""
        left, top, right, bottom = crop.left, crop.top, crop.right, crop.bottom
        if self.swap:
            left, top, right, bottom = top, left, bottom, right
        if self.mirror_x:
            left, right = 1 - right, 1 - left
        if self.mirror_y:
            top, bottom = 1 - bottom, 1 - top
        return left, top, right, bottom

    def apply(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The picture, [height, width, 3], as it is seen."""
        mirrored = picture[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]
        return mirrored.swapaxes(0, 1) if self.swap else mirrored


_TURNS = {  # by EXIF's orientation
    1: _Turn(),
    2: _Turn(mirror_x=True),
    3: _Turn(mirror_x=True, mirror_y=True),
    4: _Turn(mirror_y=True),
    5: _Turn(swap=True),
    6: _Turn(mirror_y=True, swap=True),
    7: _Turn(mirror_x=True, mirror_y=True, swap=True),
    8: _Turn(mirror_x=True, swap=True),
}


def prepare(data: bytes, image_input: ImageInput, crop: Crop = WHOLE) -> npt.NDArray[np.uint8]:
    """The picture as uint8 RGB, [size, size, 3], as `image_input` wants it.

    Orientation (EXIF) and colour (ICC profile, CMYK, 16 bits, palette) are put right, transparency is laid on white, of
    an animation the first frame counts. A file that lacks its end is refused: the rest would be found as if it were the
    whole, and whoever sent it can send it again. Takes 3 to 40 ms for most pictures, up to 2 s and 0.6 GB within the
    bounds, and holds no lock on the interpreter for most of it: call it in a thread, from as many as memory allows.

    Raises InputError (field image.data or image.crop): empty, above the bounds in image_file, no JPEG, PNG or WebP,
    damaged; a crop that is empty or leads out of the picture.
    """
    crop.check()
    file = read_file(data)
    try:
        with Image.open(io.BytesIO(file.data), formats=[file.format]) as picture:
            return _render(picture, file, image_input, crop)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise damaged(file.format) from error


def _render(picture: Image.Image, file: ImageFile, image_input: ImageInput, crop: Crop) -> npt.NDArray[np.uint8]:
    turn, size = _TURNS[file.orientation], image_input.size
    left, top, right, bottom = turn.find(crop)
    width, height = (right - left) * file.width, (bottom - top) * file.height
    if width < 1 or height < 1:
        seen = (file.height, file.width) if turn.swap else (file.width, file.height)
        raise InputError("image.crop", f"holds no whole pixel of the {seen[0]} x {seen[1]} picture")
    target = (size, size)
    if image_input.resize == "longest":
        scale = size / max(width, height)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))

    side = max(width, height) if image_input.resize == "longest" else min(width, height)
    _decode_small(picture, _KEPT_SCALE * size / side)
    box = (left * picture.width, top * picture.height, right * picture.width, bottom * picture.height)
    if image_input.resize == "shortest":
        box = _middle_square(box)
    box = (box[0], box[1], min(box[2], picture.width), min(box[3], picture.height))  # against rounding
    small = _make_linear(picture).resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=_REDUCING_GAP)
    pixels = np.asarray(to_srgb(_lay_on_white(small), file.profile))
    return np.ascontiguousarray(_pad(turn.apply(pixels), size))


def _decode_small(picture: Image.Image, scale: float) -> None:
    """Decodes at the smallest scale that is at least `scale`; only JPEG has scales to choose from."""
    if scale < 1:
        picture.draft(picture.mode, (math.ceil(picture.width * scale), math.ceil(picture.height * scale)))
    picture.load()


def _make_linear(picture: Image.Image) -> Image.Image:
    """The picture in a mode whose values can be averaged: L, RGB, CMYK, or La and RGBa (colours times alpha)."""
    transparency = picture.info.get("transparency")
    if picture.mode.startswith("I"):
        wide = np.asarray(picture).astype(np.uint16, copy=False)
        if isinstance(transparency, int):
            wide = np.where(wide == transparency, np.uint16(0xFFFF), wide)
        return Image.fromarray((wide >> 8).astype(np.uint8))
    if transparency is not None:
        picture = picture.convert("RGBA")
    elif picture.mode not in {"L", "LA", "RGB", "RGBA", "CMYK"}:
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return picture.convert({"LA": "La", "RGBA": "RGBa"}[picture.mode]) if picture.mode in {"LA", "RGBA"} else picture


def _lay_on_white(picture: Image.Image) -> Image.Image:
    """L, RGB or CMYK, from what `_make_linear` gives."""
    if picture.mode not in {"La", "RGBa"}:
        return picture
    layers = np.asarray(picture, np.uint16)
    over = (layers[..., :-1] + (255 - layers[..., -1:])).clip(0, 255).astype(np.uint8)
    return Image.fromarray(over if picture.mode == "RGBa" else over[..., 0])


def _middle_square(box: _Box) -> _Box:
    left, top, right, bottom = box
    side = min(right - left, bottom - top)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    return (x, y, x + side, y + side)


def _pad(picture: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Lays the picture in the middle of a square of the colour that its border has most."""
    height, width = picture.shape[:2]
    if height == width == size:
        return picture
    border = np.sort(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).T)
    middle = border[:, border.shape[1] // 2 - 1 :][:, :2]  # the median lies between them: there are 2 (width + height)
    square = np.empty((size, size, 3), np.uint8)
    square[:] = middle.mean(axis=1).astype(np.uint8)
    y, x = (size - height) // 2, (size - width) // 2
    square[y : y + height, x : x + width] = picture
    return square
