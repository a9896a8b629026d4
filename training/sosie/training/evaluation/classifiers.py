"""Which classifiers are judged on which pictures: those of a repository, and labels scored by their text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sosie.training.errors import EvaluationError
from sosie.training.evaluation.classification import (
    ClassifierReport,
    describe_classes,
    judge_classifier,
    measure_reliability,
)
from sosie.training.evaluation.encoding import EncodedCatalog
from sosie.training.evaluation.ranking import Flags, Places
from sosie.training.evaluation.towers import ClassifierModel, Towers
from sosie.training.goods import Goods
from sosie.training.heads import Floats
from sosie.training.pictures import read_pictures
from sosie.training.splits import SPLITS, split_groups
from sosie.training.vectors import softmax

LABEL_SETS = ("category", "brand")
FREE_LABELS = "free_labels"
"""The name under which labels scored by their text are reported."""


@dataclass(frozen=True)
class Held:
    """Which pictures are judged: `split` is test or all.

    With `attribute` a product's split is what its attribute of that name says, else the one drawn with `seed`.
    """

    split: str = "test"
    attribute: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """Pictures at `paths` of products `owners` [n], as places in the catalog, with their labels."""

    paths: tuple[str, ...]
    owners: Places
    labels: tuple[str, ...]


def choose_pictures(goods: Sequence[Goods], label_set: str, held: Held) -> Judged:
    """The pictures whose products have the label and belong to the split. Raises EvaluationError."""
    shown = [
        (place, path, label)
        for place, product in enumerate(goods)
        if (label := getattr(product, label_set))
        for path in product.pictures
    ]
    if held.split == "test":
        if held.attribute:
            splits = [goods[place].attributes.get(held.attribute, "") for place, _, _ in shown]
            unknown = set(splits) - set(SPLITS)
            if unknown:
                raise EvaluationError(
                    f"the attribute {held.attribute!r} must be train, validation or test; one is {min(unknown)!r}"
                )
        else:
            drawn = split_groups(
                [goods[place].key for place, _, _ in shown], [label for _, _, label in shown], seed=held.seed
            )
            splits = list(drawn)
        shown = [picture for picture, split in zip(shown, splits, strict=True) if split == "test"]
    return Judged(
        tuple(path for _, path, _ in shown),
        np.array([place for place, _, _ in shown], np.int64),
        tuple(label for _, _, label in shown),
    )


def judge_model(
    model: ClassifierModel,
    goods: Sequence[Goods],
    images: Path,
    held: Held,
    *,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> ClassifierReport | None:
    """A classifier of the repository on a catalog; None, reported, where no picture shows a label that it knows."""
    judged = choose_pictures(goods, model.label_set, held)
    numbers = {label: number for number, label in enumerate(model.labels)}
    known = [place for place, label in enumerate(judged.labels) if label in numbers]
    others = set(judged.labels) - numbers.keys()
    if others:
        report(
            f"classifier {model.name}: knows nothing of {len(others):,} labels of the catalog, {min(others)!r} is one: "
            f"{len(judged.labels) - len(known):,} pictures are left out"
        )
    tell(f"classifying {len(known):,} pictures by {model.name}")
    used: list[int] = []
    pieces: list[Floats] = []
    for batch in read_pictures(images, [judged.paths[place] for place in known], model.image_input, report):
        if batch.places:
            pieces.append(model.classify(batch.pictures))
            used.extend(known[place] for place in batch.places)
    if not used:
        report(f"classifier {model.name}: no picture of the split {held.split} shows a {model.label_set} that it knows")
        return None
    truth = np.array([numbers[judged.labels[place]] for place in used], np.int64)
    names = (model.name, model.label_set)
    return _report(names, held, np.concatenate(pieces), truth, owners=judged.owners[used], labels=model.labels)


def judge_free_labels(
    towers: Towers,
    goods: Sequence[Goods],
    catalog: EncodedCatalog,
    held: Held,
    *,
    asking: Flags | None = None,
    report: Callable[[str], None],
) -> ClassifierReport | None:
    """The catalog's categories scored by their text, as the service scores labels that a caller gives.

    `catalog` is what the space sees of some of `goods`, the very objects. With `asking` [products of catalog] the
    pictures of these products are judged, whatever their split.

    None, reported, where the space cannot or the catalog has fewer than two categories.
    """
    space = catalog.space
    labels = sorted({product.category for product in catalog.goods} - {""})
    if len(labels) < 2:  # noqa: PLR2004  # one label is always right
        report(f"{FREE_LABELS}: the catalog has {len(labels)} categories, 2 are needed")
        return None
    texts = towers.encode_sentences([space.label_prompt.replace("{}", label) for label in labels])
    if space.label_part not in texts or space.label_part not in catalog.pictures:
        report(f"{FREE_LABELS}: pictures and sentences of {space.name} do not both fill {space.label_part!r}")
        return None
    if asking is None:
        judged = choose_pictures(goods, "category", held)
        chosen = {(id(goods[owner]), path) for owner, path in zip(judged.owners, judged.paths, strict=True)}
        shown = [(id(catalog.goods[owner]), path) for owner, path in zip(catalog.owners, catalog.paths, strict=True)]
        places = np.array([place for place, pair in enumerate(shown) if pair in chosen], np.int64)
    else:
        known = np.array([bool(product.category) for product in catalog.goods])
        places = np.flatnonzero((asking & known)[catalog.owners])
        held = replace(held, split="held out")
    if not len(places):
        report(f"{FREE_LABELS}: no picture of the split {held.split} has a category")
        return None
    logits = catalog.pictures[space.label_part][places] @ texts[space.label_part].T * np.float32(space.label_scale)
    owners = catalog.owners[places]
    numbers = {label: number for number, label in enumerate(labels)}
    truth = np.array([numbers[catalog.goods[owner].category] for owner in owners], np.int64)
    return _report((FREE_LABELS, "category"), held, softmax(logits), truth, owners=owners, labels=labels)


def _report(
    names: tuple[str, str], held: Held, probabilities: Floats, truth: Places, *, owners: Places, labels: Sequence[str]
) -> ClassifierReport:
    confusion, estimates = judge_classifier(probabilities, truth, owners, labels, seed=held.seed)
    seen = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    confusion = confusion[np.ix_(seen, seen)]
    occurring = tuple(labels[int(place)] for place in seen)
    return ClassifierReport(
        *names,
        held.split,
        occurring,
        confusion,
        describe_classes(confusion, occurring),
        measure_reliability(probabilities, truth),
        estimates,
    )
