"""A JPEG's segments: what counts is read, what only costs is left out, rare kinds are refused (ITU T.81, ICC.1)."""

import re
import struct

from sosie.engine.errors import InputError
from sosie.engine.image_file import ImageFile, bound_profile, damaged, read_orientation

MAX_SCANS = 100
"""Of a progressive JPEG, which has 10 or so: each costs a pass over the whole picture, even one of 10 bytes."""
MAX_SEGMENTS = 4_096
"""Some hundreds at most where a profile and XMP are large."""

_EOI, _SOS, _EXIF, _ICC, _JFIF, _ADOBE, _COMMENT = 0xD9, 0xDA, 0xE1, 0xE2, 0xE0, 0xEE, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_TAKEN = {0xC0, 0xC1, _PROGRESSIVE}  # baseline and extended too; the rest is arithmetic, lossless or hierarchical
_LAYERS = {1, 3, 4}
_PRECISION = 8  # bits
_LEFT_OUT = {*range(0xE0, 0xF0), _COMMENT}
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # one with a length: not a stuffed byte, filler or restart


def read_jpeg(data: bytes) -> ImageFile:
    """The facts, and the file without its metadata. Raises InputError, struct.error and IndexError."""
    kept, frame = [data[:2]], b""
    progressive = False
    orientation, profile = 1, dict[bytes, bytes]()
    position = 2
    for _ in range(MAX_SEGMENTS):
        marker, start, position = _find_segment(data, position)
        body = data[start + 4 : position]
        if marker == _SOS:
            break
        if marker in _FRAMES:
            if frame:
                raise damaged("JPEG")
            frame, progressive = body, marker == _PROGRESSIVE
            _check_frame(marker, body)
        elif marker == _EXIF and body.startswith(b"Exif\0\0") and orientation == 1:
            orientation = read_orientation(body[6:])
        elif marker == _ICC and body.startswith(b"ICC_PROFILE\0"):
            profile[body[12:13]] = body[14:]  # after its number and how many there are
        if marker not in _LEFT_OUT or _tells_colours(marker, body):
            kept.append(data[start:position])
    else:
        raise InputError("image.data", f"has more than {MAX_SEGMENTS:,} segments: save it anew")
    if not frame:
        raise damaged("JPEG")
    height, width, layers = struct.unpack_from(">HHB", frame, 1)
    if progressive or body[0] < layers:  # else its one scan is its last
        _check_scans(data, start)
    kept.append(data[start:])
    icc = b"".join(part for _, part in sorted(profile.items()))
    return ImageFile("JPEG", width, height, orientation, bound_profile(icc), b"".join(kept))


def _find_segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Marker, start and end of the next segment; what lies before it is skipped, as decoders do."""
    found = _MARKER.search(data, position)
    if found is None or found[0][1] == _EOI:
        raise damaged("JPEG")
    start = found.start()
    end = start + 2 + struct.unpack_from(">H", data, start + 2)[0]
    if end < start + 4 or end > len(data):
        raise damaged("JPEG")
    return found[0][1], start, end


def _check_frame(marker: int, body: bytes) -> None:
    precision, _, _, layers = struct.unpack_from(">BHHB", body)
    if marker not in _TAKEN or precision != _PRECISION or layers not in _LAYERS:
        raise InputError("image.data", "is a JPEG of a rare kind: send a baseline or progressive one of 8 bits")


def _tells_colours(marker: int, body: bytes) -> bool:
    """Whether the segment decides how layers become colours."""
    return (marker == _JFIF and body.startswith(b"JFIF\0")) or (marker == _ADOBE and body.startswith(b"Adobe"))


def _check_scans(data: bytes, position: int) -> None:
    if data.count(b"\xff\xda", position) <= MAX_SCANS:
        return  # there cannot be more, whatever else these bytes stand for
    scans = 0
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found[0][1] == _EOI:
            return
        scans += found[0][1] == _SOS
        if scans > MAX_SCANS:
            break
        position = _find_segment(data, position)[2]
    raise InputError("image.data", f"has more than {MAX_SCANS} scans or {MAX_SEGMENTS:,} segments: save it anew")
