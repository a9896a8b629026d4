"""Pairs of pictures of one product, and of others that may be taken for it; judges a same-product head by them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from sosie.engine.space import EmbeddingSpace, Parts
from sosie.training.errors import FitError
from sosie.training.fitting.features import SpaceFeatures, encode_in_space
from sosie.training.fitting.judging import Places
from sosie.training.fitting.pair_report import PairReport, Truth, measure_score
from sosie.training.fitting.sampling import by_product
from sosie.training.fitting.scorers import open_scorer
from sosie.training.goods import Goods, choose_goods, read_goods
from sosie.training.heads import Floats
from sosie.training.space_encoders import find_image_encoder
from sosie.training.splits import Split, split_groups

ALIKE = 5
"""Hard negatives of a picture: by chance from other products of its category, or without such of its brand."""
OTHERS = 5
"""Negatives by chance from all products."""
NEAREST = 3
"""Further ones that only learning gets: its nearest pictures of other products. Those are chosen by the baseline's own
mistakes, so to judge by them would make any other score look better than it is."""
SAME_PHOTOGRAPH = 0.999
"""Cosine from which two pictures of one family are taken for one: a shop that numbers every size shows it for each."""


@dataclass(frozen=True)
class PairSet:
    """Pairs of pictures: rows `left` and `right` [n]; whether they show the `same` product, or are `hard` negatives."""

    left: Places
    right: Places
    same: Truth
    hard: Truth


def split_families(goods: Sequence[Goods], seed: int) -> dict[str, Split]:
    """The split of each family: variants stay together, so that nothing held out was seen in another colour."""
    families = [product.family for product in goods]
    splits = split_groups(families, [product.category for product in goods], seed=seed)
    return dict(zip(families, splits, strict=True))


def weigh(weights: Mapping[str, float], parts: Parts) -> Floats:
    """Unit vectors [n, size] whose inner product is a question's score: the cosines' mean by `weights`."""
    kept = [parts[name] * np.float32(np.sqrt(weights[name])) for name in parts if weights[name] > 0]
    vectors: Floats = np.concatenate(kept, axis=1)
    return vectors / np.float32(np.sqrt(sum(weights[name] for name in parts)))


def image_weights(space: EmbeddingSpace) -> dict[str, float]:
    """By part, what it weighs by default where a picture asks."""
    return {part.name: part.image_weight for part in space.parts}


def draw_pairs(vectors: Floats, owners: Places, goods: Sequence[Goods], *, seed: int, nearest: int = 0) -> PairSet:
    """Every pair of one product's pictures, and for each picture hard and random negatives; each pair once.

    `vectors` [n, size] are default-weighted, `owners` [n] places in `goods`; `nearest` is 0 or NEAREST. Raises FitError
    without a pair of a kind.
    """
    rng = np.random.default_rng(seed)
    families = np.array([product.family for product in goods])[owners]
    categories = np.array([product.category for product in goods])[owners]
    brands = np.array([product.brand for product in goods])[owners]
    similarity = vectors @ vectors.T
    other = owners[:, None] != owners[None, :]
    other &= ~((families[:, None] == families[None, :]) & (similarity > SAME_PHOTOGRAPH))
    positives = {pair for shown in by_product(owners, len(goods)) for pair in combinations(shown.tolist(), 2)}
    hard: set[tuple[int, int]] = set()
    rest: set[tuple[int, int]] = set()
    for picture in range(len(owners)):
        allowed = np.flatnonzero(other[picture])
        near = allowed[np.argsort(-similarity[picture, allowed], kind="stable")[:nearest]]
        mates = allowed[categories[allowed] == categories[picture]] if categories[picture] else allowed[:0]
        if not len(mates) and brands[picture]:
            mates = allowed[brands[allowed] == brands[picture]]
        chosen = rng.permutation(mates)[:ALIKE]
        hard.update(_order(picture, place) for place in [*near.tolist(), *chosen.tolist()])
        rest.update(_order(picture, place) for place in rng.permutation(allowed)[:OTHERS].tolist())
    rest -= hard
    if not positives or not hard | rest:
        raise FitError("needs products with two pictures or more, and other products beside them, in every split")
    pairs = np.array([*sorted(positives), *sorted(hard), *sorted(rest)], np.int64)
    kinds = np.repeat([0, 1, 2], [len(positives), len(hard), len(rest)])
    return PairSet(pairs[:, 0], pairs[:, 1], kinds == 0, kinds == 1)


def select_split(features: SpaceFeatures, splits: Mapping[str, Split], split: Split) -> tuple[Parts, Places]:
    """The parts of the pictures that show products of one split, and their owners, as places in all goods."""
    chosen = np.array([splits[product.family] == split for product in features.goods], bool)
    kept = chosen[features.owners]
    return {name: values[kept] for name, values in features.pictures.items()}, features.owners[kept]


def evaluate_pairs(
    repository: Path,
    catalog: Path,
    images: Path,
    *,
    scorer: str = "same_product",
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> PairReport:
    """Judges a same-product head of a repository on the products of a catalog that its training held out.

    With the catalog that it was trained on these are the very products; another catalog is split by the same seed.
    Raises RepositoryError where there is no such model, FitError where the catalog gives no pairs.
    """
    found = open_scorer(repository, scorer)
    encoders = find_image_encoder(repository, found.space)
    goods = choose_goods(read_goods(catalog, report))
    splits = split_families(goods, found.seed)
    held = [product for product in goods if splits[product.family] == "test"]
    features = encode_in_space(encoders, held, images, report=report, tell=tell)
    space = encoders.space
    vectors = weigh(image_weights(space), features.pictures)
    pairs = draw_pairs(vectors, features.owners, features.goods, seed=found.seed)
    rows = space.assemble(features.pictures)
    probabilities = found.score(rows[pairs.left], rows[pairs.right])
    return make_report(scorer, space.name, probabilities, vectors=vectors, pairs=pairs, products=len(features.goods))


def make_report(
    scorer: str, space: str, probabilities: Floats, *, vectors: Floats, pairs: PairSet, products: int
) -> PairReport:
    """The head's probabilities [n] of pairs beside the cosine of default-weighted `vectors`."""
    cosines = score_cosine(vectors, pairs)
    return PairReport(
        scorer=scorer,
        space=space,
        products=products,
        positives=int(pairs.same.sum()),
        negatives=int((~pairs.same).sum()),
        hard_negatives=int(pairs.hard.sum()),
        head=measure_score(probabilities, pairs.same, pairs.hard, probabilities=True),
        baseline=measure_score(cosines, pairs.same, pairs.hard, probabilities=False),
    )


def score_cosine(vectors: Floats, pairs: PairSet) -> Floats:
    """The baseline: the cosine of both pictures' default-weighted vectors."""
    cosines: Floats = (vectors[pairs.left] * vectors[pairs.right]).sum(1)
    return cosines


def _order(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
