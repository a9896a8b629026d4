"""Which products meet in a batch: by chance, or with those that they are most easily taken for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.training.fitting.judging import Places
from sosie.training.heads import Floats
from sosie.training.vectors import unit

VIEWS = 2
"""Pictures of a product in a batch, where it has so many."""


@dataclass(frozen=True)
class Views:
    """Pictures of products: `vectors` [n, size] show `owners` [n]; `labels` [products] pull together, -1 is none.

    `kinds` [products] number what a product may be taken for: hard negatives are of its own kind where that is above 0.
    """

    vectors: Floats
    owners: Places
    labels: Places
    kinds: Places

    def select(self, products: Places) -> "Views":
        """Those of some products alone, numbered anew in the order given."""
        places = np.full(len(self.labels), -1)
        places[products] = np.arange(len(products))
        kept = places[self.owners] >= 0
        return Views(self.vectors[kept], places[self.owners[kept]], self.labels[products], self.kinds[products])


def number(names: Sequence[str]) -> Places:
    """Numbers from 1 on for names, alike for alike ones; 0 for the empty name."""
    different = {name: place for place, name in enumerate(sorted(set(names) - {""}), 1)}
    return np.array([different.get(name, 0) for name in names], np.int64)


class Batches:
    """Draws batches of pictures: of each product VIEWS, of each of its hard negatives as many.

    `size` is the pictures of a batch; every product is drawn once an epoch, negatives come on top of that.
    """

    def __init__(self, views: Views, rng: np.random.Generator, *, size: int, hard_negatives: int) -> None:
        self._rng, self._hard = rng, hard_negatives
        self._pictures = by_product(views.owners, len(views.labels))
        self._drawn = np.flatnonzero(views.labels >= 0)
        products = max(2, size // (VIEWS * (1 + hard_negatives)))
        self.count = max(1, round(len(self._drawn) / products))

    def epoch(self, neighbours: Places | None) -> Iterator[Places]:
        """The places of pictures, a batch at a time; `neighbours` [products, n] come into their product's batch."""
        order = self._rng.permutation(self._drawn)
        for chosen in np.array_split(order, self.count):
            products = chosen
            if neighbours is not None:
                products = np.unique(np.concatenate([chosen, neighbours[chosen][:, : self._hard].ravel()]))
            yield np.concatenate([self._show(product) for product in products if product >= 0])

    def _show(self, product: int) -> npt.NDArray[np.int64]:
        shown = self._pictures[product]
        return self._rng.choice(shown, min(VIEWS, len(shown)), replace=False)


def mine_neighbours(vectors: Floats, views: Views, count: int) -> Places:
    """The `count` most similar products of each, [products, count]: of another label, of its own kind if it has one.

    `vectors` [n, size] are the pictures' in the space as it is; a product is the mean of its own. -1 where there are
    fewer.
    """
    products = len(views.labels)
    sums = np.zeros((products, vectors.shape[1]), np.float32)
    np.add.at(sums, views.owners, vectors)
    means = unit(sums)
    similarity = means @ means.T
    similarity[views.labels[:, None] == views.labels[None, :]] = -np.inf
    np.fill_diagonal(similarity, -np.inf)
    similarity[:, views.labels < 0] = -np.inf
    same_kind = views.kinds[:, None] == views.kinds[None, :]
    apart = ~same_kind & (views.kinds > 0)[:, None]
    # Where positives are categories no other label is of the same kind; there any label serves.
    if (np.isfinite(similarity) & same_kind & (views.kinds > 0)[:, None]).any():
        similarity[apart] = -np.inf
    count = min(count, products)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return np.where(np.isfinite(np.take_along_axis(similarity, nearest, axis=1)), nearest, -1)


def by_product(owners: Places, products: int) -> list[Places]:
    """The places of each product's pictures."""
    order = np.argsort(owners, kind="stable")
    return np.split(order, np.cumsum(np.bincount(owners, minlength=products))[:-1])
