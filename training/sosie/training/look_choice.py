"""Which whitening `look` takes, the network's or the catalog's own: decided on products that were held out."""

from dataclasses import dataclass

import numpy as np

from sosie.training import mini, parts
from sosie.training.features import CatalogFeatures
from sosie.training.heads import Projection
from sosie.training.judging import Places, category_precision, same_hits

FEWEST = 20
"""Pictures, of products with several, that must be there to decide by."""
MOST = 1000
"""Pictures that are asked with: more would only take memory."""
TOLERANCE = 0.01
"""What a share may fall by chance: half the standard error of a share of some hundred pictures."""


@dataclass(frozen=True)
class Hits:
    """How well pictures find pictures.

    The share that has one of the same product, and one of the same family, among its ten nearest; and the share of the
    five nearest of other products that are of the same category, NaN where products have none.
    """

    product: float
    family: float
    category: float

    def betters(self, other: "Hits") -> bool:
        """Whether more is gained than lost, and nothing by more than TOLERANCE."""
        mine, theirs = (np.array([hits.product, hits.family, hits.category]) for hits in (self, other))
        gains = (mine - theirs)[~np.isnan(mine)]
        return bool(gains.sum() > 0 and gains.min() >= -TOLERANCE)


@dataclass(frozen=True)
class LookChoice:
    """A whitening, with what it gives on the held-out products, and what the unfitted one gave."""

    projection: Projection
    before: Hits
    after: Hits


def choose_look(sources: mini.Sources, catalog: CatalogFeatures, taught: Places, held: Places) -> LookChoice | None:
    """The catalog's own whitening where it serves better, else the network's; None where that cannot be decided.

    It is estimated on the pictures of the products `taught`, and taken if the pictures of those `held` out find
    better by it among all pictures. Colour's weight stays what it is.
    """
    first = Projection.whiten(sources.image)
    asked = np.flatnonzero(np.isin(catalog.owners, held))
    asked = asked[:: -(-len(asked) // MOST) or 1]
    shown = np.bincount(catalog.owners, minlength=len(catalog.goods))[catalog.owners]
    if (shown[asked] > 1).sum() < FEWEST:
        return None
    pictures = catalog.pictures[np.isin(catalog.owners, taught)]
    own = Projection(first.mean, parts.catalog_projection(pictures, sources.image["_fc.weight"]))
    before, after = (_measure(catalog, projection, asked) for projection in (first, own))
    if after.betters(before):
        return LookChoice(own, before, after)
    return LookChoice(first, before, before)


def _measure(catalog: CatalogFeatures, projection: Projection, asked: Places) -> Hits:
    """Of the pictures asked, among all."""
    look = parts.look(catalog.pictures, projection.mean, projection.matrix)
    colour_weight = mini.WEIGHTS["colour"][0] / mini.WEIGHTS["look"][0]
    similarity = look[asked] @ look.T + colour_weight * (catalog.colours[asked] @ catalog.colours.T)
    families = [product.family for product in catalog.goods]
    categories = [product.category for product in catalog.goods]
    return Hits(
        same_hits(similarity, catalog.owners, asked),
        same_hits(similarity, [families[owner] for owner in catalog.owners], asked),
        category_precision(similarity, catalog.owners[asked], catalog.owners, categories),
    )
