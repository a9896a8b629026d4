"""Whether two pictures look the same to a person: a perceptual hash, and colours to tell variants apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.engine.image import prepare
from sosie.engine.inference import ImageInput

MAX_BITS = 4
"""Of the 64 bits of their hashes, in how many two pictures that look the same may differ."""

MAX_COLOUR = 8
"""By how much (0..255) any of their 432 colour values may differ: a shoe in red and one in brown have the same hash,
and so have shorts that differ in the colour of their seams."""

# Both by benchmarks/near_duplicates.py: with them none of its catalogs' different photographs are taken for the same,
# while nearly all files that were scaled down or compressed anew are.

CELLS = 12
"""Rows and columns of the colours' grid."""

_SIDE = 72  # pixels: a whole number of them for each cell of both grids
_ROWS, _COLUMNS = 8, 9  # nine columns give eight differences
_MARGIN = 2.0  # grey levels: on an even background the noise of JPEG would decide
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_INPUT = ImageInput(_SIDE, "longest")


@dataclass(frozen=True)
class Likeness:
    """What a picture looks like from afar.

    `bits` is the difference hash, 64 bits in reading order, the first the most significant: whether the grey value
    rises from each cell of an 8 x 9 grid to the one at its right (Neal Krawetz, "Kind of Like That", 2013), by more
    than 2.
    `colours` are the mean RGB values of a 12 x 12 grid, 432 bytes.
    """

    bits: int
    colours: bytes

    @classmethod
    def of(cls, data: bytes) -> "Likeness":
        """Takes a file's bytes; its orientation, colours and transparency are put right first.

        Raises InputError as engine.image.prepare. Takes as long as that: a JPEG is decoded at a fraction of its size.
        """
        return cls.of_pixels(prepare(data, _INPUT))

    @classmethod
    def of_pixels(cls, picture: npt.NDArray[np.uint8]) -> "Likeness":
        """Takes a prepared picture, [72, 72, 3]."""
        pixels = picture.astype(np.float32)
        grey = (pixels @ _LUMA).reshape(_ROWS, _SIDE // _ROWS, _COLUMNS, _SIDE // _COLUMNS).mean(axis=(1, 3))
        rises = np.packbits(grey[:, 1:] > grey[:, :-1] + _MARGIN)
        edge = _SIDE // CELLS
        means = pixels.reshape(CELLS, edge, CELLS, edge, 3).mean(axis=(1, 3))
        return cls(int.from_bytes(rises.tobytes()), means.round().astype(np.uint8).tobytes())

    def differing_bits(self, other: "Likeness") -> int:
        """Bits in which the hashes differ, 0 to 64."""
        return (self.bits ^ other.bits).bit_count()

    def differing_colour(self, other: "Likeness") -> int:
        """The largest difference of two colour values, 0 to 255."""
        mine, its = (np.frombuffer(each.colours, np.uint8).astype(np.int16) for each in (self, other))
        return int(np.abs(mine - its).max())

    def resembles(self, other: "Likeness") -> bool:
        """Whether a person would take both for the same picture, at a glance."""
        return self.differing_bits(other) <= MAX_BITS and self.differing_colour(other) <= MAX_COLOUR
