"""What a silhouette is drawn with: the surface, a colour for the trim, and this product's own measures."""

import hashlib
from dataclasses import dataclass
from typing import Final

from sosie.shop.palette import Rgb, accent, darker
from sosie.shop.patterns import Fabric, Pattern

METAL: Final[Rgb] = (0.80, 0.78, 0.72)
RUBBER: Final[Rgb] = (0.90, 0.89, 0.86)
LEATHER: Final[Rgb] = (0.42, 0.29, 0.19)


@dataclass(frozen=True)
class Cut:
    """Measures that differ from product to product and are the same in all its views."""

    seed: str

    def between(self, name: str, low: float, high: float) -> float:
        """The measure of that name, low..high: always the same for one product."""
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=4).digest()
        return low + (high - low) * int.from_bytes(digest, "big") / 0xFFFFFFFF

    def has(self, name: str, chance: float = 0.5) -> bool:
        """Whether the product has that detail."""
        return self.between(name, 0, 1) < chance


@dataclass(frozen=True)
class Design:
    """`fabric` covers the product, `trim` its soles, collars, straps or panels."""

    fabric: Fabric
    trim: Rgb
    cut: Cut

    @property
    def main(self) -> Rgb:
        return self.fabric.main

    @property
    def seam(self) -> Rgb:
        return accent(self.fabric.main)

    @property
    def lining(self) -> Rgb:
        """The inside of the product, in its own shadow."""
        return darker(self.fabric.main, 0.55)

    @property
    def panel(self) -> Rgb:
        """A part that a plain product in two colours has in its second one; the first one on a patterned product."""
        return self.trim if self.fabric.pattern is Pattern.PLAIN else self.fabric.main

    @property
    def cloth(self) -> Fabric:
        """The fabric's material without its pattern."""
        return Fabric(self.fabric.main, self.fabric.main, texture=self.fabric.texture)

    def panel_cloth(self) -> Fabric:
        """The panel's colour in the fabric's material."""
        return Fabric(self.panel, self.panel, texture=self.fabric.texture)
