"""How well pictures and titles find pictures: every question asked, by each part alone and by all together.

Questions: `image` asks with a picture, itself left out, `text` with a product's title, both among all pictures as the
index holds them; `text_without_words` asks with titles where the shop's words are left out of the index.

Relations, right is what has the same: `product`; `family`, the title without the words of its attributes, which the
variants of one model share; `category`, the narrowest one; `brand`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sosie.engine.errors import InputError
from sosie.training.errors import EvaluationError
from sosie.training.evaluation.bootstrap import Estimate, Values, estimate_means
from sosie.training.evaluation.encoding import EncodedCatalog
from sosie.training.evaluation.ranking import (
    CEILING,
    CHANCE,
    METRICS,
    NONE,
    Flags,
    Places,
    Questions,
    Ranked,
    Relation,
    rank,
)
from sosie.training.evaluation.weighting import Side, check_weights, weigh_queries
from sosie.training.fitting.judging import split
from sosie.training.goods import Goods
from sosie.training.heads import Floats

MAX_QUESTIONS = 5_000
"""Of one kind; of more a draw is asked. Their intervals are narrow enough, and the time grows with the square."""
DEFAULT = "default"
QUESTIONS: Mapping[str, Side] = {"image": "image", "text": "text", "text_without_words": "text"}


@dataclass(frozen=True)
class RetrievalSettings:
    """`weights` are further weightings by name; `by_product` ranks products, as the service answers.

    With `without_own_product` the question's own product is no candidate by category and by brand. With `held_out`
    only products ask that `sosie models fit` of the same seed sets aside to judge by.
    """

    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    by_product: bool = False
    without_own_product: bool = False
    held_out: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Ranking:
    """One kind of question under one weighting.

    `products` [q] asked, with the pictures `pictures` [q] (NONE for titles). `estimates` are {relation: {metric: ...}},
    METRICS with p@k called acc@k by category; `ceilings` and `chances` are means by relation, see `ranking`.
    """

    question: str
    weighting: str
    products: Places
    pictures: Places
    ranked: Ranked
    estimates: Mapping[str, Mapping[str, Estimate]]
    ceilings: Mapping[str, float]
    chances: Mapping[str, float]

    @property
    def name(self) -> str:
        return f"{self.question}.{self.weighting}"

    def average_precision(self, relation: str) -> Values:
        """[q], NaN where a question does not count."""
        column: Values = self.ranked.values[relation][:, METRICS.index("map")]
        return column


@dataclass(frozen=True)
class Truth:
    """What is right: the label of each product [products] by relation, NONE for none; `left_out` says what is not."""

    labels: Mapping[str, Places]
    left_out: tuple[str, ...]


def find_truth(goods: Sequence[Goods]) -> Truth:
    """The labels that a catalog gives. A relation by which all products are alike, or none has a label, is left out."""
    names = {
        "product": [product.key for product in goods],
        "family": [f"{product.shop}/{product.family}" for product in goods],
        "category": [product.category for product in goods],
        "brand": [product.brand for product in goods],
    }
    # A catalog without ids names all its products alike.
    names["product"] = [f"{place}/{name}" for place, name in enumerate(names["product"])]
    labels, left_out = {}, []
    for relation, said in names.items():
        different = sorted(set(said) - {""})
        if relation == "family" and len(different) == len(goods):
            left_out.append("by family: no two products differ in their attributes alone")
        elif len(different) < 2:  # noqa: PLR2004  # nothing to tell apart
            what = f"all products have {different[0]!r}" if different else "no product has one"
            left_out.append(f"by {relation}: {what}")
        else:
            numbers = {name: number for number, name in enumerate(different)}
            labels[relation] = np.array([numbers.get(name, NONE) for name in said], np.int64)
    return Truth(labels, tuple(left_out))


def find_asking(catalog: EncodedCatalog, settings: RetrievalSettings) -> Flags:
    """Which products [products] ask. Raises EvaluationError where a fitting would hold out none of this catalog."""
    if not settings.held_out:
        return np.ones(len(catalog.goods), bool)
    _, _, judged = split([product.family for product in catalog.goods], settings.seed)
    if not len(judged):
        raise EvaluationError("--questions held-out: the catalog is too small for a fitting to hold out any product")
    return np.isin(np.arange(len(catalog.goods)), judged)


def measure_retrieval(
    catalog: EncodedCatalog,
    truth: Truth,
    settings: RetrievalSettings,
    *,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> list[Ranking]:
    """Every kind of question under every weighting; what cannot be asked is reported. Raises EvaluationError."""
    rankings = []
    asking = find_asking(catalog, settings)
    for question, side in QUESTIONS.items():
        with_words = question != "text_without_words"
        rows = catalog.rows(with_words=with_words)
        filled = catalog.pictures if side == "image" else catalog.titles
        places = _draw(np.flatnonzero(asking[catalog.owners] if side == "image" else asking), settings.seed)
        parts = {name: values[places] for name, values in filled.items()}
        asked = {part for part, place in _named_slices(catalog) if part in parts and rows[:, place].any()}
        for weighting, weights in _weightings(catalog, parts, asked, side=side, settings=settings, report=report):
            if not with_words and weighting in parts:
                continue  # a part alone finds the same with words in the index and without
            tell(f"asking {len(places):,} questions: {question}, {weighting}")
            questions = Questions(
                weigh_queries(catalog.space, parts, side, weights),
                places if side == "image" else np.full(len(places), NONE, np.int64),
                catalog.owners[places] if side == "image" else places,
            )
            name = (question, weighting)
            rankings.append(_rank(catalog, truth, questions, rows, settings=settings, name=name))
    return rankings


def _rank(
    catalog: EncodedCatalog,
    truth: Truth,
    questions: Questions,
    rows: Floats,
    *,
    settings: RetrievalSettings,
    name: tuple[str, str],
) -> Ranking:
    candidates = np.arange(len(catalog.goods)) if settings.by_product else catalog.owners
    relations = [
        Relation(
            relation,
            labels[questions.products],
            labels[candidates],
            without_own=settings.without_own_product and relation in {"category", "brand"},
        )
        for relation, labels in truth.labels.items()
    ]
    ranked = rank(questions, rows, catalog.owners, relations, by_product=settings.by_product, seed=settings.seed)
    estimates: dict[str, dict[str, Estimate]] = {}
    further: dict[str, dict[str, float]] = {CEILING: {}, CHANCE: {}}
    for relation, values in ranked.values.items():
        counted = ~np.isnan(values[:, 0])
        if counted.any():
            means = estimate_means(values[counted], questions.products[counted], seed=settings.seed)
            by_metric = dict(zip((*METRICS, CEILING, CHANCE), means, strict=True))
            for known in (CEILING, CHANCE):
                further[known][relation] = by_metric.pop(known).value
            estimates[relation] = {_call(relation, metric): estimate for metric, estimate in by_metric.items()}
    return Ranking(
        *name,
        questions.products,
        questions.pictures,
        ranked,
        estimates,
        further[CEILING],
        further[CHANCE],
    )


def _call(relation: str, metric: str) -> str:
    """The share of the first k in the question's category has a name of its own: accuracy at k."""
    return metric.replace("p@", "acc@") if relation == "category" else metric


def _weightings(
    catalog: EncodedCatalog,
    parts: Mapping[str, Floats],
    asked: set[str],
    *,
    side: Side,
    settings: RetrievalSettings,
    report: Callable[[str], None],
) -> Iterator[tuple[str, Mapping[str, float]]]:
    """The default weights, each part alone, and those that were asked for, as far as they make a question."""
    names = [part.name for part in catalog.space.parts]
    alone = {name: {part: float(part == name) for part in parts} for name in names if name in asked}
    weightings: dict[str, Mapping[str, float]] = {DEFAULT: {}, **alone, **settings.weights}
    for weighting, weights in weightings.items():
        unknown = set(weights) - set(names)
        if unknown:
            raise EvaluationError(
                f"the space {catalog.space.name} has no part {min(unknown)!r}, only {', '.join(names)}"
            )
        if weights and not weights.keys() & parts.keys():
            continue  # it would leave the default weights
        try:
            check_weights(catalog.space, parts, side, weights)
        except InputError as error:
            report(f"{side} questions by {weighting}: {error.problem}")
        else:
            yield weighting, weights


def _named_slices(catalog: EncodedCatalog) -> Iterator[tuple[str, slice]]:
    return ((part.name, place) for part, place in catalog.space.slices())


def _draw(places: Places, seed: int) -> Places:
    if len(places) <= MAX_QUESTIONS:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, MAX_QUESTIONS, replace=False))
