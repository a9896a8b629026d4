"""Pictures small enough to stand in a page."""

import base64
import io
from pathlib import Path

from PIL import Image

from sosie.engine.inference import ImageInput
from sosie.training.pictures import read_picture

SIZE = 112
"""Pixels: sharp at 56 CSS pixels on a dense screen, readable at 112."""
QUALITY = 72


def read_thumbnail(images: Path, path: str, size: int = SIZE) -> str:
    """A picture as a data URI of a JPEG, size x size; "" where it cannot be read."""
    picture = read_picture(images.resolve(), path, image_input=ImageInput(size, "longest"))
    if isinstance(picture, str):
        return ""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
