"""What a catalog holds, and what it lacks: counts, picture sizes, gaps, duplicates, imbalance."""

import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from sosie.engine.image import FORMATS
from sosie.training.evaluation.duplicates import (
    FINGERPRINT_INPUT,
    Fingerprint,
    digest,
    group_near,
    group_same,
    take_fingerprint,
)
from sosie.training.pictures import READERS, prepare_picture, read_file
from sosie.v1 import product_pb2

SMALL = 224
"""Pixels of the shorter side below which a picture is smaller than what most encoders read."""
FEW = 5
"""A class with fewer products can hardly be learned or judged by."""
TOLD_EVERY = 1000


@dataclass(frozen=True)
class PictureFacts:
    """One picture of a catalog; `problem` says why it cannot be used, "" if it can, and without it all else is known.

    `width` and `height` are in pixels as the file says, before its orientation is put right.
    """

    product: int
    path: str
    problem: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    digest: str = ""
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True)
class Imbalance:
    """How unevenly products are spread over the classes of a label.

    `effective` is the exponential of the entropy: as many classes of equal size would be as uncertain (Hill 1973, order
    1). `ratio` is largest to smallest.
    """

    classes: int
    largest_share: float
    ratio: float
    effective: float
    few: int


@dataclass(frozen=True)
class CatalogData:
    """`counts` are products by shop, brand and category; `gaps` products that lack something; `pictures` all facts.

    `same` and `near` are groups of places in `pictures`; `problems` what was wrong with lines.
    """

    products: int
    counts: dict[str, dict[str, int]]
    gaps: dict[str, int]
    pictures: tuple[PictureFacts, ...]
    same: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, ...], ...]
    imbalance: dict[str, Imbalance]

    @property
    def usable(self) -> list[PictureFacts]:
        return [picture for picture in self.pictures if not picture.problem]

    @property
    def unusable(self) -> list[PictureFacts]:
        return [picture for picture in self.pictures if picture.problem]

    @property
    def formats(self) -> dict[str, int]:
        return dict(Counter(picture.format for picture in self.usable).most_common())

    @property
    def small(self) -> int:
        return sum(min(picture.width, picture.height) < SMALL for picture in self.usable)


def describe_catalog(
    products: Sequence[product_pb2.Product], images: Path, *, tell: Callable[[str], None]
) -> CatalogData:
    """Looks at every product and reads every picture; nothing that is wrong with them is an error."""
    wanted = [(place, picture.path) for place, product in enumerate(products) for picture in product.pictures]
    facts: list[PictureFacts] = []
    with ThreadPoolExecutor(READERS) as pool:
        for fact in pool.map(partial(_look_at, images.resolve()), wanted):
            facts.append(fact)
            if len(facts) % TOLD_EVERY == 0:
                tell(f"{len(facts):,} of {len(wanted):,} pictures looked at")
    usable = [place for place, fact in enumerate(facts) if not fact.problem]
    counts = {
        "shop": _count(product.shop for product in products),
        "brand": _count(product.brand for product in products),
        "category": _count(_category(product) for product in products),
    }
    return CatalogData(
        products=len(products),
        counts=counts,
        gaps={
            "title": sum(not product.title.strip() for product in products),
            "brand": sum(not product.brand for product in products),
            "category": sum(not product.category_path for product in products),
            "price": sum(not product.HasField("price") for product in products),
            "picture": sum(not product.pictures for product in products),
            "picture that can be read": len(products) - len({facts[place].product for place in usable}),
        },
        pictures=tuple(facts),
        same=_groups(usable, group_same([facts[place].digest for place in usable])),
        near=_groups(usable, group_near([one.fingerprint for one in facts if one.fingerprint])),
        imbalance={name: measure_imbalance(counts[name]) for name in ("brand", "category") if counts[name]},
    )


def measure_imbalance(counts: dict[str, int]) -> Imbalance:
    """Of at least one class."""
    sizes = np.array(list(counts.values()), np.float64)
    shares = sizes / sizes.sum()
    return Imbalance(
        classes=len(sizes),
        largest_share=float(shares.max()),
        ratio=float(sizes.max() / sizes.min()),
        effective=math.exp(-float((shares * np.log(shares)).sum())),
        few=int((sizes < FEW).sum()),
    )


def _look_at(folder: Path, wanted: tuple[int, str]) -> PictureFacts:
    product, path = wanted
    data = read_file(folder, path)
    if isinstance(data, str):
        return PictureFacts(product, path, problem=_without_path(data, path))
    prepared = prepare_picture(data, path, image_input=FINGERPRINT_INPUT)
    if isinstance(prepared, str):
        return PictureFacts(product, path, problem=_without_path(prepared, path))
    with Image.open(io.BytesIO(data), formats=FORMATS) as header:
        return PictureFacts(
            product=product,
            path=path,
            format=str(header.format),
            width=header.width,
            height=header.height,
            bytes=len(data),
            digest=digest(data),
            fingerprint=take_fingerprint(prepared),
        )


def _without_path(problem: str, path: str) -> str:
    return problem.removeprefix(f"picture {path!r}: ")


def _groups(usable: Sequence[int], groups: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(usable[place] for place in group) for group in groups)


def _category(product: product_pb2.Product) -> str:
    return product.category_path[-1] if product.category_path else ""


def _count(names: Iterable[str]) -> dict[str, int]:
    """The most frequent first, those of the same count by name."""
    counts = Counter(name for name in names if name)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
