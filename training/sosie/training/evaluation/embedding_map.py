"""A map of a catalog's pictures: what lies together looks alike to the space.

t-SNE (van der Maaten and Hinton 2008) over the first 50 principal components, which also place the points at first.
Distances between clusters, and their sizes, say nothing: only who lies beside whom does.
"""

from dataclasses import dataclass

import numpy as np

from sosie.training.evaluation.encoding import EncodedCatalog
from sosie.training.evaluation.ranking import Places
from sosie.training.heads import Floats

MAX_POINTS = 3_000
"""More take minutes and cannot be told apart on a page."""
FEWEST_POINTS = 10
COMPONENTS = 50
PERPLEXITY = 30.0
"""Neighbours that a point counts on; less where there are few points."""


@dataclass(frozen=True)
class EmbeddingMap:
    """`points` [n, 2] of the pictures at `pictures` [n]."""

    points: Floats
    pictures: Places


def draw_map(catalog: EncodedCatalog, *, points: int = MAX_POINTS, seed: int = 0) -> EmbeddingMap | None:
    """Lays pictures out by the default weights of pictures; None where there are too few."""
    from sklearn.decomposition import PCA  # noqa: PLC0415  # takes seconds to import
    from sklearn.manifold import TSNE  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  # comes with scikit-learn

    count = len(catalog.paths)
    if min(count, points) < FEWEST_POINTS:
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:points])
    # The inner product of vectors scaled so is the weighted sum of the parts' cosines.
    scaled = [
        catalog.pictures[part.name][chosen] * np.float32(np.sqrt(part.image_weight))
        for part in catalog.space.parts
        if part.name in catalog.pictures and part.image_weight > 0
    ]
    if not scaled:
        return None
    vectors = np.concatenate(scaled, axis=1)
    components = min(COMPONENTS, *vectors.shape)
    perplexity = min(PERPLEXITY, (len(chosen) - 1) / 3)
    with threadpool_limits(1):  # threads wait for one another by spinning: on a busy machine minutes instead of seconds
        reduced = PCA(components, svd_solver="full").fit_transform(vectors)
        laid = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    return EmbeddingMap(laid.astype(np.float32), chosen)
