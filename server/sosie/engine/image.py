"""From a file's bytes to the square uint8 picture that an encoder reads.

The reference is what the encoders were trained with: Pillow's antialiased bicubic filter on the whole picture. Here a
JPEG is decoded at the smallest of its scales (1/2, 1/4, 1/8) that leaves twice the size that is needed, which costs a
fraction of the time and keeps the embedding (cosine above 0.9995).
"""

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

from sosie.engine.errors import InputError
from sosie.engine.inference import ImageInput

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP")

_KEPT_SCALE = 2  # decoding below twice the target lets the embedding drift: cosine 0.97 at 1x
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
_WHITE = (255, 255, 255)


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


def prepare(data: bytes, image_input: ImageInput, crop: Crop = WHOLE) -> npt.NDArray[np.uint8]:
    """The picture as uint8 RGB, [size, size, 3], as `image_input` wants it.

    Orientation (EXIF) and colour (ICC profile, CMYK, 16 bit, palette) are put right, transparency is laid on white, of
    an animation the first frame counts. Takes 5 to 40 ms and holds no lock on the interpreter for most of it: call it
    in a thread.

    Raises InputError (field image.data or image.crop): empty, above 20 MiB or 50 megapixels, no JPEG, PNG or WebP,
    damaged; a crop that is empty or leads out of the picture.
    """
    crop.check()
    if not data:
        raise InputError("image.data", "is empty")
    if len(data) > MAX_BYTES:
        raise InputError("image.data", f"has {len(data):,} bytes, at most {MAX_BYTES:,} are taken")
    picture = _open(data)
    try:
        return _render(picture, image_input, crop)
    except InputError:
        raise
    except Exception as error:
        raise InputError("image.data", f"cannot be decoded, the {picture.format} is damaged: {error}") from error
    finally:
        picture.close()


def _open(data: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError("image.data", f"has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:
        raise InputError("image.data", "is not a picture that can be read: send JPEG, PNG or WebP") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise InputError("image.data", f"has {picture.width} x {picture.height} pixels, above {MAX_PIXELS:,}")
    return picture


def _render(picture: Image.Image, image_input: ImageInput, crop: Crop) -> npt.NDArray[np.uint8]:
    profile = picture.info.get("icc_profile")
    size = image_input.size
    sideways = picture.getexif().get(_EXIF_ORIENTATION, 1) in _SIDEWAYS
    seen = (picture.height, picture.width) if sideways else picture.size
    _decode_small(picture, _scale_needed(seen, image_input, crop))
    upright = _flatten(ImageOps.exif_transpose(picture))

    box = _box(upright.size, crop)
    width, height = box[2] - box[0], box[3] - box[1]
    if width < 1 or height < 1:
        raise InputError("image.crop", f"holds no whole pixel of the {seen[0]} x {seen[1]} picture")
    if image_input.resize == "longest":
        scale = size / max(width, height)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
    else:
        target = (size, size)
        if image_input.resize == "shortest":
            box = _middle_square(box)
    small = upright.resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=_KEPT_SCALE)
    return _pad(np.asarray(_to_srgb(small, profile)), size)


def _scale_needed(seen: tuple[int, int], image_input: ImageInput, crop: Crop) -> float:
    """The smallest scale of the whole picture that leaves `_KEPT_SCALE` times the pixels that the crop needs."""
    sides = (seen[0] * (crop.right - crop.left), seen[1] * (crop.bottom - crop.top))
    side = max(sides) if image_input.resize == "longest" else min(sides)
    return _KEPT_SCALE * image_input.size / max(side, 1.0)


def _decode_small(picture: Image.Image, scale: float) -> None:
    if scale < 1:
        wanted = (math.ceil(picture.width * scale), math.ceil(picture.height * scale))
        picture.draft(picture.mode, wanted)  # only JPEG has scales to choose from, others do nothing
    picture.load()


def _flatten(picture: Image.Image) -> Image.Image:
    """The picture as RGB or CMYK, transparency laid on white."""
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        wide = np.asarray(picture, np.float32)
        return Image.fromarray((wide / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info:
        over = picture.convert("RGBA")
        page = Image.new("RGB", over.size, _WHITE)
        page.paste(over, mask=over.getchannel("A"))
        return page
    return picture if picture.mode in {"RGB", "CMYK"} else picture.convert("RGB")


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours by the file's own profile where it has one that fits, else as they are."""
    if profile:
        try:
            source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile is no reason to refuse the picture
        else:
            if converted is not None:
                return converted
    return picture.convert("RGB")


def _box(size: tuple[int, int], crop: Crop) -> tuple[float, float, float, float]:
    width, height = size
    return (crop.left * width, crop.top * height, crop.right * width, crop.bottom * height)


def _middle_square(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    side = min(right - left, bottom - top)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    return (x, y, x + side, y + side)


def _pad(picture: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Lays the picture in the middle of a square of the colour that its border has most."""
    height, width = picture.shape[:2]
    if height == width == size:
        return picture
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    square = np.empty((size, size, 3), np.uint8)
    square[:] = np.median(border, axis=0).astype(np.uint8)
    y, x = (size - height) // 2, (size - width) // 2
    square[y : y + height, x : x + width] = picture
    return square
