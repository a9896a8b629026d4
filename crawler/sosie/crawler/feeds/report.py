"""What was counted in a feed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sosie.crawler.rejects import Reject
from sosie.v1 import product_pb2

FIELDS = ("brand", "category_path", "price", "url", "availability", "description", "attributes")
"""Those that a product may lack."""


@dataclass
class Report:
    """Counts of one reading of one feed. Memory does not grow with it."""

    format: str = ""
    offers: int = 0
    products: int = 0
    pictures: int = 0
    variants: int = 0
    """Products that name a group."""
    rejects: Counter[str] = field(default_factory=Counter)
    """By the field at fault; "offer" where it is the whole."""
    cut: Counter[str] = field(default_factory=Counter)
    """By the field that was cut or left out of a product."""
    filled: Counter[str] = field(default_factory=Counter)
    """Products that have the field."""

    def add_product(self, product: product_pb2.Product, notes: tuple[str, ...]) -> None:
        self.offers += 1
        self.products += 1
        self.pictures += len(product.pictures)
        self.variants += "group_id" in product.attributes
        for note in notes:
            self.cut[note.partition(" ")[0].partition("[")[0]] += 1
        self.filled.update(descriptor.name for descriptor, _ in product.ListFields() if descriptor.name in FIELDS)

    def add_reject(self, reject: Reject) -> None:
        self.offers += 1
        self.rejects[reject.field or "offer"] += 1

    @property
    def rejected(self) -> int:
        return self.rejects.total()

    def coverage(self) -> dict[str, float]:
        """The share of products that have each field, 0 to 1."""
        return {name: self.filled[name] / self.products if self.products else 0.0 for name in FIELDS}

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "offers": self.offers,
            "products": self.products,
            "variants": self.variants,
            "pictures": self.pictures,
            "rejected": self.rejected,
            "rejects": dict(self.rejects.most_common()),
            "cut": dict(self.cut.most_common()),
            "coverage": {name: round(share, 4) for name, share in self.coverage().items()},
        }
