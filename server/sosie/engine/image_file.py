"""A picture's file as the formats' readers hand it on, the bounds that it must keep, and what its EXIF says."""

import struct
from dataclasses import dataclass
from typing import Literal

from sosie.engine.errors import InputError

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000
MAX_WEBP_PIXELS = 25_000_000
"""Half of the others': its decoder needs 16 bytes a pixel."""
MAX_SIDE = 65_535
"""Pixels; JPEG's own limit, and WebP's is 16,383. Of a PNG, whole rows are unpacked at once."""
MAX_PROFILE = 4 * 2**20
"""Bytes of an ICC profile; a press's has up to 3 MiB. A larger one is passed over."""

FormatName = Literal["JPEG", "PNG", "WebP"]


@dataclass(frozen=True)
class ImageFile:
    """A picture as it is stored: `width` and `height` before `orientation` (EXIF's, 1 to 8) is put right.

    `profile` is its ICC profile, `data` what a decoder needs of the file.
    """

    format: FormatName
    width: int
    height: int
    orientation: int
    profile: bytes | None
    data: bytes

    def check(self) -> None:
        """Raises InputError where the picture has too many pixels, or none."""
        at_most = MAX_WEBP_PIXELS if self.format == "WebP" else MAX_PIXELS
        if self.width * self.height > at_most or max(self.width, self.height) > MAX_SIDE:
            bounds = f"at most {at_most:,} are taken of a {self.format}, and {MAX_SIDE:,} a side"
            raise InputError("image.data", f"has {self.width} x {self.height} pixels: {bounds}")
        if not self.width * self.height:
            raise damaged(self.format)


def damaged(format: FormatName) -> InputError:
    """What is said of a file that is broken or lacks its end."""
    return InputError("image.data", f"is a damaged or cut off {format}: send the whole file")


def bound_profile(profile: bytes) -> bytes | None:
    return profile if 0 < len(profile) <= MAX_PROFILE else None


_SHORT, _LONG, _ORIENTATION = 3, 4, 0x0112


def read_orientation(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8, from a TIFF header on; 1 where there is none that makes sense.

    Only the first directory's entries are walked, none of their values: the entries of a small file may name
    overlapping values of gigabytes in all.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        start = struct.unpack_from(order + "L", exif, 4)[0]
        count = struct.unpack_from(order + "H", exif, start)[0]
        entries = exif[start + 2 : start + 2 + 12 * count]
        for tag, kind, _, value in struct.iter_unpack(order + "HHL4s", entries[: len(entries) // 12 * 12]):
            if tag == _ORIENTATION and kind in {_SHORT, _LONG}:
                orientation = struct.unpack_from(order + ("H" if kind == _SHORT else "L"), value)[0]
                return orientation if orientation in range(1, 9) else 1
    except struct.error:
        pass  # broken metadata are no reason to refuse the picture
    return 1
