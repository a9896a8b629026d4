"""How well sentences find pictures, and pictures other pictures, measured on products that were held out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.training.errors import FitError
from sosie.training.heads import Floats

FEWEST_FAMILIES = 10
FIRST = 10
FIRST_OF_CATEGORY = 5
ONE_SIDED_5_PERCENT = 1.645
AT_ONCE = 256
"""Questions whose similarities with all pictures are held in memory at a time."""
WEIGHTS = (0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 4.0)
"""What is tried as the weight of `meaning` beside `words` at weight 1."""
USUAL_WEIGHT = 0.2
"""That weight where there are no categories to choose it by."""
SCALES = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0)
"""What is tried to turn cosines into logits."""

Places = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recall:
    """Whether sentences find their products' pictures: `ranks` [m] are those of the nearest picture of each, from 1."""

    ranks: Places

    @property
    def first_10(self) -> float:
        """The share of sentences that have one among their ten nearest pictures."""
        return float((self.ranks <= FIRST).mean())

    @property
    def reciprocal_rank(self) -> float:
        """The mean of 1 / rank."""
        return float((1 / self.ranks).mean())

    def is_better_than(self, other: "Recall") -> bool:
        """Whether the same sentences fare better, beyond chance."""
        return are_gains(1 / self.ranks - 1 / other.ranks)


def are_gains(gains: Doubles, clusters: Sequence[str] | None = None) -> bool:
    """Whether gains [n] are above 0 beyond chance.

    By a one-sided test at 5 %: their mean is above 1.645 times its standard error. Gains of one of the `clusters` [n]
    count as one, their mean: views of one family are no independent evidence.
    """
    if clusters is not None:
        _, numbers = np.unique(np.array(clusters), return_inverse=True)
        gains = np.bincount(numbers, gains) / np.bincount(numbers)
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return bool(gains.mean() > ONE_SIDED_5_PERCENT * error) if len(gains) else False


@dataclass(frozen=True)
class PictureFinds:
    """What pictures [n] find, each for itself.

    `reciprocal_ranks` are of the nearest other view of the same product, `precisions` the share of the first five that
    show its category, the own product left out. NaN where there is no other view, or no category.
    """

    reciprocal_ranks: Doubles
    precisions: Doubles

    def mean(self, name: str) -> float:
        """The mean of one of both, over the pictures that have it; 0 without any."""
        values = getattr(self, name)
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else 0.0

    def gains(self, other: "PictureFinds", name: str, clusters: Sequence[str]) -> bool:
        """Whether the same pictures fare better in one of both than in `other`, beyond chance."""
        gains = getattr(self, name) - getattr(other, name)
        known = ~np.isnan(gains)
        return are_gains(gains[known], [cluster for cluster, kept in zip(clusters, known, strict=True) if kept])


def measure_pictures(vectors: Floats, asked: Places, owners: Places, categories: Sequence[str]) -> PictureFinds:
    """What the pictures at the places `asked` find among all, whose vectors are [n, size] and show `owners` [n].

    The question's own picture is no candidate; a tie counts against what is looked for.
    """
    names = np.array(categories)[owners]
    ranks, precisions = [], []
    for start in range(0, len(asked), AT_ONCE):
        places = asked[start : start + AT_ONCE]
        similarity = vectors[places] @ vectors.T
        similarity[np.arange(len(places)), places] = -np.inf
        own = owners[None, :] == owners[places][:, None]
        best = np.where(own, similarity, -np.inf).max(1)
        rank = 1 / (((similarity >= best[:, None]) & ~own).sum(1) + 1)
        ranks.append(np.where(np.isfinite(best), rank, np.nan))
        similarity[own] = -np.inf
        near = np.argsort(-similarity, axis=1, kind="stable")[:, :FIRST_OF_CATEGORY]
        others = np.isfinite(np.take_along_axis(similarity, near, axis=1))
        share = ((names[near] == names[places][:, None]) & others).mean(1)
        precisions.append(np.where(names[places] != "", share, np.nan))
    return PictureFinds(np.concatenate(ranks or [np.zeros(0)]), np.concatenate(precisions or [np.zeros(0)]))


def measure_recall(sentences: Floats, products: Places, pictures: Floats, owners: Places) -> Recall:
    """Unit vectors [m, size] of sentences about `products` [m], and [n, size] of pictures that show `owners` [n]."""
    return rank_own(sentences @ pictures.T, products, owners)


def rank_own(similarity: Floats, products: Places, owners: Places) -> Recall:
    """As `measure_recall`, of similarities [m, n] of the sentences with the pictures."""
    own = owners[None, :] == products[:, None]
    best = np.where(own, similarity, -np.inf).max(1)
    return Recall(((similarity >= best[:, None]) & ~own).sum(1) + 1)  # a tie counts against it


def category_precision(similarity: Floats, products: Places, owners: Places, categories: Sequence[str]) -> float:
    """The share of the first five pictures that show the category of the question's product; its own do not count.

    `similarity` [m, n] is that of questions about `products` [m] with pictures that show `owners` [n]; `categories` are
    those of all products, "" for none. NaN where no question's product has one.
    """
    names = np.array(categories)
    known = names[products] != ""
    if not known.any():
        return float("nan")
    found = np.where(owners[None, :] == products[known][:, None], -np.inf, similarity[known])
    nearest = np.argsort(-found, axis=1, kind="stable")[:, :FIRST_OF_CATEGORY]
    return float((names[owners[nearest]] == names[products[known]][:, None]).mean())


def choose_weight(meaning: Floats, words: Floats, products: Places, owners: Places, categories: Sequence[str]) -> float:
    """The weight of `meaning` beside `words`, both as similarities [m, n] of titles with pictures.

    The one by which most of the first five pictures are of the title's category, the title's own product left out. Only
    weights count with which titles find their own product as well as by words alone, but for chance; the least of
    WEIGHTS where there is none. USUAL_WEIGHT where the products have fewer than two categories.

    The pictures have to be those that compete in the shop, the products that were learned from too: a head is surer of
    those, and a weight that was chosen without them lets them stand before the product that was asked for.
    """
    if len(set(categories) - {""}) < 2:  # noqa: PLR2004  # nothing to tell apart
        return USUAL_WEIGHT
    alone = rank_own(words, products, owners)
    tried = {weight: words + weight * meaning for weight in WEIGHTS}
    kept = [weight for weight in WEIGHTS if not alone.is_better_than(rank_own(tried[weight], products, owners))]
    scores = {weight: category_precision(tried[weight], products, owners, categories) for weight in kept}
    return max(kept, key=lambda weight: scores[weight]) if kept else WEIGHTS[0]


def choose_scale(cosines: Floats, truth: Places, fallback: float) -> float:
    """The factor that makes softmax probabilities of labels from cosines [n, labels] fit `truth` [n] best.

    Calibration by temperature (Guo et al. 2017): the least negative log-likelihood. `fallback` without two labels.
    """
    if cosines.shape[1] < 2:  # noqa: PLR2004  # one label is always right
        return fallback
    losses = []
    for scale in SCALES:
        logits = cosines * scale
        peak = logits.max(1)
        right = logits[np.arange(len(truth)), truth]
        losses.append(float((np.log(np.exp(logits - peak[:, None]).sum(1)) + peak - right).mean()))
    return SCALES[int(np.argmin(losses))]


def check_families(families: Sequence[str]) -> None:
    """Raises FitError where there are too few families to learn from some and be judged by others."""
    if len(set(families)) < FEWEST_FAMILIES:
        raise FitError(
            f"needs at least {FEWEST_FAMILIES} products of different titles with a readable picture, the catalog has "
            f"{len(set(families))}"
        )


def split(families: Sequence[str], seed: int) -> tuple[Places, Places, Places]:
    """The places of products to learn from, to watch and to judge by: 70, 15 and 15 % of the families.

    At most 1,000 families are watched and as many judged.
    """
    names = np.array(families)
    different = np.random.default_rng(seed).permutation(np.unique(names))
    share = min(1000, max(1, round(0.15 * len(different))))
    watched = np.flatnonzero(np.isin(names, different[:share]))
    judged = np.flatnonzero(np.isin(names, different[share : 2 * share]))
    return np.setdiff1d(np.arange(len(names)), np.concatenate([watched, judged])), watched, judged
