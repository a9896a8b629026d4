"""One run: reads a catalog, measures what was asked for, and gathers it in a report."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from sosie.engine.milvus import MilvusStore
from sosie.engine.store import picture_key
from sosie.training.errors import EvaluationError, RepositoryError
from sosie.training.evaluation.catalog_data import describe_catalog
from sosie.training.evaluation.classification import ClassifierReport
from sosie.training.evaluation.classifiers import FREE_LABELS, LABEL_SETS, Held, judge_free_labels, judge_model
from sosie.training.evaluation.differences import compare, read_earlier
from sosie.training.evaluation.embedding_map import draw_map
from sosie.training.evaluation.encoding import EncodedCatalog, encode_catalog
from sosie.training.evaluation.index_recall import IndexRecall, measure_recall
from sosie.training.evaluation.report import LabelledMap, Report
from sosie.training.evaluation.requirements import Requirement, check_requirements
from sosie.training.evaluation.retrieval import Ranking, RetrievalSettings, find_asking, find_truth, measure_retrieval
from sosie.training.evaluation.towers import open_classifiers, open_towers
from sosie.training.evaluation.worst import WorstQuestions, choose_worst, find_worst
from sosie.training.goods import Goods, make_goods, read_products
from sosie.training.repository import GRAPH
from sosie.v1 import product_pb2

SCORER = "same_product"
"""The folder of the model that `sosie evaluate pairs` judges."""

FITTED = "products_judged_by"
"""The figure that a space carries which was fitted to a catalog."""

Sink = Callable[[str], None]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Settings:
    """What to evaluate, and with what; see the options of `sosie evaluate`."""

    what: str
    catalog: Path
    images: Path
    repository: Path
    space: str | None = None
    store: str | None = None
    collection: str = "sosie"
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    held: Held = field(default_factory=Held)
    classifiers: tuple[str, ...] = ()
    scorer: str = SCORER
    worst: tuple[str, ...] = ()
    map_points: int = 0
    max_products: int = 10_000
    against: Path | None = None
    requirements: tuple[Requirement, ...] = ()

    def wants(self, section: str) -> bool:
        return self.what in {"all", section}

    def describe(self) -> Mapping[str, object]:
        """What the figures depend on beside catalog and space."""
        said: dict[str, object] = {"seed": self.retrieval.seed}
        if self.wants("retrieval"):
            said["questions"] = "held out" if self.retrieval.held_out else "all"
            said["hits"] = "products" if self.retrieval.by_product else "pictures"
            said["own product by category and brand"] = "left out" if self.retrieval.without_own_product else "counts"
        if self.wants("classification"):
            said["split"] = self.held.split + (f" by {self.held.attribute}" if self.held.attribute else "")
        return said


def evaluate(settings: Settings, *, tell: Sink) -> Report:
    """Measures all of it. Raises TrainingError, and EngineError where a store fails."""
    if not settings.images.is_dir():
        raise EvaluationError(f"{settings.images} is no folder; give the catalog's pictures folder with --images")
    earlier = read_earlier(settings.against) if settings.against else None
    notes: list[str] = []
    everything = _read(settings, notes.append)
    products = _spread(everything, settings.max_products)
    if len(products) < len(everything):
        notes.append(f"{len(products):,} of the {len(everything):,} products are used (--max-products)")
    goods = _make_goods(everything, notes.append)
    report = Report(catalog=settings.catalog.name, space=None, settings=settings.describe())
    if settings.wants("data"):
        tell(f"looking at {len(products):,} products and their pictures")
        report = replace(report, data=describe_catalog(products, settings.images, tell=tell))
    if settings.wants("retrieval") or settings.wants("classification"):
        report = _evaluate_models(report, settings, goods, notes.append, tell)
    if settings.store and settings.wants("retrieval"):
        report = replace(report, index=_measure_index(settings, settings.store, products, tell))
    if settings.wants("pairs"):
        report = _evaluate_pairs(report, settings, notes.append, tell)
    report = replace(report, notes=_without_repeats(notes))
    metrics = report.metrics()
    return replace(
        report,
        outcomes=check_requirements(settings.requirements, metrics),
        differences=compare(earlier.metrics, metrics) if earlier else (),
        earlier=f"{earlier.catalog}, {earlier.space}" if earlier else None,
    )


def _read(settings: Settings, report: Sink) -> list[product_pb2.Product]:
    products = [product for _, product in read_products(settings.catalog, report)]
    if not products:
        raise EvaluationError(f"{settings.catalog} holds no product")
    return products


def _spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most so many, spread over all."""
    return items[:: -(-len(items) // most) or 1]


def _make_goods(products: Sequence[product_pb2.Product], report: Sink) -> list[Goods]:
    goods = []
    for product in products:
        try:
            goods.append(make_goods(product))
        except ValueError as error:
            report(f"product {product.shop}/{product.product_id}: {error}")
    return goods


def _evaluate_models(report: Report, settings: Settings, goods: Sequence[Goods], note: Sink, tell: Sink) -> Report:
    """`goods` are all of the catalog: which pictures a training held out depends on them all."""
    try:
        towers = open_towers(settings.repository, settings.space)
    except RepositoryError as error:
        if settings.what != "classification" or settings.space:
            raise
        note(f"{FREE_LABELS}: {error}")  # classifiers need no encoders
        return replace(report, classifiers=_judge(settings, goods, note=note, tell=tell))
    tell(f"embedding space {towers.space.name}")
    catalog = encode_catalog(towers, _spread(goods, settings.max_products), settings.images, report=note, tell=tell)
    report = replace(report, space=towers.space.name)
    if FITTED in towers.space.figures and not settings.retrieval.held_out:
        note(
            f"{towers.space.name} was fitted: if to this catalog, it has learned from most products that ask here; "
            "--questions held-out asks about the others alone"
        )
    if settings.wants("retrieval"):
        report = _evaluate_retrieval(report, settings, catalog, note, tell)
    if settings.wants("classification"):
        asking = find_asking(catalog, settings.retrieval) if settings.retrieval.held_out else None
        free = judge_free_labels(towers, goods, catalog, settings.held, asking=asking, report=note)
        judged = _judge(settings, goods, note=note, tell=tell)
        report = replace(report, classifiers=[*judged, *([free] if free else [])])
    return report


def _evaluate_retrieval(report: Report, settings: Settings, catalog: EncodedCatalog, note: Sink, tell: Sink) -> Report:
    truth = find_truth(catalog.goods)
    for missing in truth.left_out:
        note(f"retrieval {missing}")
    rankings = measure_retrieval(catalog, truth, settings.retrieval, report=note, tell=tell)
    _note_unanswered(rankings, note)
    chosen = choose_worst(rankings, settings.worst)
    tell("choosing the worst questions")
    worst: list[WorstQuestions] = [
        find_worst(catalog, truth, ranking, relation, settings=settings.retrieval, images=settings.images)
        for ranking, relation in chosen
    ]
    drawn = None
    if settings.map_points:
        tell("drawing the map")
        drawn = draw_map(catalog, points=settings.map_points, seed=settings.retrieval.seed)
        if drawn is None:
            note("map: there are too few pictures")
    labelled = None
    if drawn:
        shown = [catalog.goods[catalog.owners[picture]] for picture in drawn.pictures]
        labels = {name: tuple(getattr(product, name) for product in shown) for name in ("category", "brand")}
        labelled = LabelledMap(drawn, labels)
    return replace(report, rankings=rankings, worst=worst, map=labelled)


def _note_unanswered(rankings: Sequence[Ranking], note: Sink) -> None:
    for ranking in rankings:
        for relation in ranking.ranked.values.keys() - ranking.estimates.keys():
            note(f"retrieval by {relation}: no {ranking.question.partition('_')[0]} question has a right answer")


def _judge(settings: Settings, goods: Sequence[Goods], *, note: Sink, tell: Sink) -> list[ClassifierReport]:
    models = open_classifiers(settings.repository, LABEL_SETS, settings.classifiers)
    if not models:
        note(f"classification: the repository holds no classifier of {' or '.join(LABEL_SETS)}")
    for model in models:
        if model.label_set not in LABEL_SETS:
            raise EvaluationError(
                f"classifier {model.name} names {model.label_set}, of which a catalog says nothing; "
                f"one of {' or '.join(LABEL_SETS)} can be judged"
            )
    judged = [judge_model(model, goods, settings.images, settings.held, report=note, tell=tell) for model in models]
    return [each for each in judged if each]


def _measure_index(settings: Settings, uri: str, products: Sequence[product_pb2.Product], tell: Sink) -> IndexRecall:
    keys = [
        picture_key(product.shop, product.product_id, picture.id)
        for product in products
        for picture in product.pictures
    ]

    async def measure() -> IndexRecall:
        store = MilvusStore(uri, settings.collection)
        try:
            return await measure_recall(store, keys, seed=settings.retrieval.seed, tell=tell)
        finally:
            await store.close()

    return asyncio.run(measure())


def _evaluate_pairs(report: Report, settings: Settings, note: Sink, tell: Sink) -> Report:
    if settings.what == "all" and not (settings.repository / settings.scorer / GRAPH).is_file():
        note(f"pairs: the repository holds no model {settings.scorer}")
        return report
    from sosie.training.fitting.pairs import evaluate_pairs  # noqa: PLC0415  # only where there is such a model

    found = evaluate_pairs(
        settings.repository, settings.catalog, settings.images, scorer=settings.scorer, report=note, tell=tell
    )
    return replace(report, pairs=found, space=report.space or found.space)


def _without_repeats(notes: Sequence[str]) -> list[str]:
    """A picture that cannot be read is met by every model that reads it."""
    return list(dict.fromkeys(notes))
