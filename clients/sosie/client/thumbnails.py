"""Pictures as data URIs for a page that stands alone."""

import base64
from io import BytesIO

_SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"RIFF": "image/webp"}


def data_uri(data: bytes, *, side: int) -> str | None:
    """A picture scaled to at most `side` pixels if Pillow is installed, the picture itself if not; None if it is none.

    Pillow is a convenience here, not part of the base install: without it pages grow with the files.
    """
    media_type = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)
    if media_type is None:
        return None
    small = _scale(data, side)
    media_type, data = ("image/webp", small) if small is not None else (media_type, data)
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _scale(data: bytes, side: int) -> bytes | None:
    """None where Pillow is absent or does not want the picture."""
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415 - optional, see data_uri
    except ImportError:
        return None
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as opened:
            opened.draft("RGB", (side, side))  # lets a JPEG decode at a fraction of its size
            picture = ImageOps.exif_transpose(opened)
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            picture.thumbnail((side, side))
            out = BytesIO()
            picture.save(out, "WEBP", quality=85)
    except (OSError, ValueError, Image.DecompressionBombError):  # the browser may still know what to do with it
        return None
    return out.getvalue()
