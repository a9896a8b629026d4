"""Finds pictures that are the same, by their bytes or by what they show."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.engine.inference import ImageInput, Pictures

FINGERPRINT_INPUT = ImageInput(size=72, resize="squash")
"""What a fingerprint is taken of: 9 x 8 cells of 8 x 9 pixels each."""
MOST_DIFFERENT = 2
"""Bits of 64 in which near-identical pictures may differ: the same picture saved again at another size or quality."""
MOST_APART = 6.0
"""Levels of 255 by which their colours may differ in the mean."""

_BLOCK = 1024
_LUMA = (0.299, 0.587, 0.114)  # Rec. 601
_FLAT = 2.0  # levels of 255 between neighbouring cells that are noise

Hashes = npt.NDArray[np.uint64]


def digest(data: bytes) -> str:
    """What two files have in common only if they hold the same bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Fingerprint:
    """What a picture is recognised by: 64 bits of its shapes (0: there are none), and its colours in 8 x 9 cells.

    dHash (Krawetz 2013, "Kind of Like That"): each bit says whether a cell is darker than its right neighbour. It is
    blind to colour, in which the variants of a product differ: `cells`, 216 bytes of RGB, are not.
    """

    bits: int
    cells: bytes


def take_fingerprint(picture: Pictures) -> Fingerprint:
    """The fingerprint of a picture prepared by FINGERPRINT_INPUT: [72, 72, 3]."""
    cells = picture.reshape(8, 9, 9, 8, 3).mean((1, 3))
    bits = (np.diff(cells @ _LUMA, axis=1) > _FLAT).ravel()
    return Fingerprint(int.from_bytes(np.packbits(bits).tobytes(), "big"), cells.round().astype(np.uint8).tobytes())


def group_same(digests: Sequence[str]) -> list[list[int]]:
    """The places that have a digest in common, in groups of at least two, in order."""
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(digests):
        groups.setdefault(name, []).append(place)
    return [places for places in groups.values() if len(places) > 1]


def group_near(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """The places whose fingerprints are nearly the same, directly or by way of others; those without shapes are not."""
    known = np.array([place for place, one in enumerate(prints) if one.bits], np.int64)
    bits: Hashes = np.array([prints[place].bits for place in known], np.uint64)
    cells = np.array([np.frombuffer(prints[place].cells, np.uint8) for place in known], np.float32)
    leader = list(range(len(known)))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for start in range(0, len(bits), _BLOCK):
        apart = np.bitwise_count(bits[start : start + _BLOCK, None] ^ bits[None, start:])
        for one, other in zip(*(start + places for places in np.nonzero(apart <= MOST_DIFFERENT)), strict=True):
            if one < other and np.abs(cells[one] - cells[other]).mean() <= MOST_APART:
                leader[find(int(other))] = find(int(one))
    groups: dict[int, list[int]] = {}
    for place in range(len(known)):
        groups.setdefault(find(place), []).append(int(known[place]))
    return sorted(places for places in groups.values() if len(places) > 1)
