"""ICC profiles made from nothing, one of each kind that pictures carry (ICC.1:2001-04)."""

import struct
from collections.abc import Mapping, Sequence

from PIL import ImageCms

_WHITE = (0.9642, 1.0, 0.8249)  # D50
_SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
_DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))


def make_profile(
    colours: bytes, tags: Mapping[bytes, bytes], *, kind: bytes = b"mntr", space: bytes = b"XYZ "
) -> bytes:
    """A profile of version 2.4 for the colour space `colours`, e.g. b"RGB ", by way of `space`."""
    table, bodies = struct.pack(">L", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sLL", name, 132 + 12 * len(tags) + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    size = 128 + len(table) + len(bodies)
    head = struct.pack(">L4sL4s4s4s12s4s", size, b"", 0x02400000, kind, colours, space, bytes(12), b"acsp")
    return (head.ljust(68, b"\0") + _fixed(_WHITE)).ljust(128, b"\0") + table + bodies


def make_rgb(primaries: Sequence[Sequence[float]] = _DISPLAY_P3, gamma: float = 2.2) -> bytes:
    """One of a screen, by default of a wide gamut."""
    tags = {
        name: b"XYZ \0\0\0\0" + _fixed(xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma))
    return make_profile(b"RGB ", {b"wtpt": b"XYZ \0\0\0\0" + _fixed(_WHITE), **tags, **curves})


def make_swapped() -> bytes:
    """One in which the first layer is green and the second red."""
    return make_rgb((_SRGB[1], _SRGB[0], _SRGB[2]))


def make_grey(gamma: float) -> bytes:
    return make_profile(b"GRAY", {b"wtpt": _xyz(_WHITE), b"kTRC": _curve(gamma)})


def make_cmyk() -> bytes:
    """One of a press whose ink, whichever it is, makes the paper red: a table of 2 places a channel, in Lab."""
    red, white = (138, 208, 195), (255, 128, 128)
    places = [white if not place else red for place in range(16)]
    straight = bytes(range(256))
    unit = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    head = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + b"".join(struct.pack(">l", value * 65536) for value in unit)
    body = head + straight * 4 + b"".join(map(bytes, places)) + straight * 3
    return make_profile(b"CMYK", {b"A2B0": body}, kind=b"prtr", space=b"Lab ")


def make_chained(elements: int) -> bytes:
    """An RGB profile that leads through a chain of matrices, all of them the same 60 bytes of the file."""
    matrix = b"matf\0\0\0\0" + struct.pack(">HH12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    chain = b"mpet\0\0\0\0" + struct.pack(">HHL", 3, 3, elements)
    chain += struct.pack(">LL", 16 + 8 * elements, len(matrix)) * elements + matrix
    made = bytearray(make_profile(b"RGB ", {b"D2B0": chain}))
    made[8:12] = b"\x04\x30\0\0"  # chains came with version 4.3
    return bytes(made)


def make_srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def make_lab() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def _fixed(values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">l", round(value * 65536)) for value in values)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">LH", 1, round(gamma * 256))
