"""Fits a new part to any space of a repository, judges it on held-out products, and grows the space by it.

    loss                        new part   is weighed in place of
    supervised, triplet, cosine likeness   look, where a picture asks
    contrastive                 meaning    the part in which pictures and sentences met, where a sentence asks

The part that it is made of stays, so that a question that weighs it finds what it found before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sosie.engine.space import EmbeddingSpace
from sosie.training.errors import FitError
from sosie.training.fitting.contrast import Pairs
from sosie.training.fitting.features import SpaceFeatures
from sosie.training.fitting.grafting import Graft
from sosie.training.fitting.judging import (
    PictureFinds,
    Places,
    Recall,
    check_families,
    choose_scale,
    measure_pictures,
    measure_recall,
    split,
)
from sosie.training.fitting.pairs import image_weights, weigh
from sosie.training.fitting.refining import Recipe, Refined, apply_head, refine_meeting, refine_pictures
from sosie.training.fitting.sampling import Views, number
from sosie.training.goods import Goods
from sosie.training.heads import Floats

LIKENESS, MEANING, LOOK = "likeness", "meaning", "look"
SHARES = (0.25, 0.5, 0.75, 1.0)
"""What is tried as likeness's share of the weight that look had."""
FEWEST_SHOWN_TWICE = 5
"""Families with another view, among those that are judged by, under which no judgement is made."""

Positives = Literal["product", "category", "brand"]

_SENTENCES = ("nothing was gained for sentences on the held-out products", "titles find held-out pictures better")
_TITLE = 1  # its place among Goods.sentences
_JUDGED: Mapping[Positives, tuple[str, str]] = {
    "product": ("reciprocal_ranks", "precisions"),
    "category": ("precisions", "reciprocal_ranks"),
    "brand": ("precisions", "reciprocal_ranks"),
}
"""The figure that has to gain, and the one that must not lose."""


@dataclass(frozen=True)
class Growth:
    """What a fitting gave; `verdict` says in a sentence why it is adopted or not.

    `weights` are those by part (for a picture, for a sentence) that change; `label_scale` is None where labels are
    compared as before.
    """

    gained: bool
    verdict: str
    graft: Graft
    weights: Mapping[str, tuple[float, float]]
    figures: Mapping[str, float]
    label_scale: float | None = None


def fit_likeness(
    space: EmbeddingSpace, features: SpaceFeatures, recipe: Recipe, positives: Positives, tell: Callable[[str], None]
) -> Growth:
    """Fits `likeness` upon look. Raises FitError where the catalog cannot teach that, or memory runs out."""
    base = next((part for part in space.parts if part.name == LOOK), None)
    if base is None:
        raise FitError(f"the space {space.name} has no part {LOOK!r} to fit a head upon")
    goods = features.goods
    families = [product.family for product in goods]
    check_families(families)
    labels = choose_labels(goods, features.owners, positives)
    groups = taught, watched, judged = split(families, recipe.seed)
    tell(f"fitting to {len(taught):,} products; {len(watched):,} are watched, {len(judged):,} judged by")
    _, seen, held = (np.flatnonzero(np.isin(features.owners, group)) for group in groups)
    views = Views(features.pictures[LOOK], features.owners, labels, number([product.category for product in goods]))
    categories = [_label_name(product, positives) for product in goods]
    main, watch = _JUDGED[positives]

    def find(asked: Places, share: float, likeness: Floats | None) -> PictureFinds:
        vectors = _weigh_likeness(space, features.pictures, share, likeness)
        return measure_pictures(vectors, asked, features.owners, categories)

    def embed(refined: Refined) -> Floats:
        return apply_head(refined.image, features.pictures[LOOK])

    refined = refine_pictures(views.select(taught), lambda found: find(seen, 1, embed(found)).mean(main), recipe, tell)
    likeness = embed(refined)
    figures = {share: find(seen, share, likeness).mean(main) for share in SHARES}
    share = max(SHARES, key=lambda tried: figures[tried])
    before, after = find(held, 0, None), find(held, share, likeness)
    clusters = [families[owner] for owner in features.owners[held]]
    known = {cluster for cluster, gain in zip(clusters, getattr(before, main), strict=True) if not np.isnan(gain)}
    if len(known) < FEWEST_SHOWN_TWICE:
        raise FitError(
            f"only {len(known)} products of those held out can be judged by: --positives {positives} needs more "
            + ("products with two pictures" if positives == "product" else f"products with a {positives}")
        )
    gains, loses = after.gains(before, main, clusters), before.gains(after, watch, clusters)
    weight = _look_weight(space)
    return Growth(
        gains and not loses,
        _say(gains, loses, watch),
        Graft(LIKENESS, LOOK, refined.image),
        {LOOK: (weight * (1 - share), base.text_weight), LIKENESS: (weight * share, 0.0)},
        {
            "pictures_judged_by": float((~np.isnan(getattr(before, main))).sum()),
            "picture_finds_other_view_reciprocal_rank_before": before.mean("reciprocal_ranks"),
            "picture_finds_other_view_reciprocal_rank": after.mean("reciprocal_ranks"),
            "picture_precision_of_first_5_before": before.mean("precisions"),
            "picture_precision_of_first_5": after.mean("precisions"),
            "likeness_share": share,
        },
    )


def fit_meaning(space: EmbeddingSpace, features: SpaceFeatures, recipe: Recipe, tell: Callable[[str], None]) -> Growth:
    """Fits `meaning` upon the part in which pictures and sentences meet. Raises FitError as `fit_likeness`."""
    base = next(part for part in space.parts if part.name == space.label_part)
    if features.sentences is None or base.name not in features.pictures:
        raise FitError(f"pictures do not fill {base.name!r}, in which the space {space.name} compares labels")
    if base.name == MEANING:
        raise FitError(f"the space {space.name} has a fitted {MEANING!r}; --start from one without")
    goods = features.goods
    families = [product.family for product in goods]
    check_families(families)
    taught, watched, judged = split(families, recipe.seed)
    tell(f"fitting to {len(taught):,} products; {len(watched):,} are watched, {len(judged):,} judged by")
    pairs = Pairs(features.pictures[base.name], features.owners, features.sentences)
    kinds = number([product.category for product in goods])
    views = Views(pairs.pictures, pairs.owners, np.arange(len(goods)), kinds)
    seen, held = pairs.select(watched), pairs.select(judged)

    def judge(refined: Refined) -> float:
        return _recall(seen, refined).reciprocal_rank

    refined = refine_meeting(views.select(taught), pairs.select(taught), judge, recipe, tell)
    before, after = _recall(held, None), _recall(held, refined)
    gained = after.is_better_than(before)
    return Growth(
        gained,
        _SENTENCES[gained],
        Graft(MEANING, base.name, refined.image, refined.text),
        {base.name: (base.image_weight, 0.0), MEANING: (0.0, base.text_weight)},
        {
            "products_judged_by": float(len(judged)),
            "title_finds_picture_in_first_10_before": before.first_10,
            "title_finds_picture_in_first_10": after.first_10,
            "title_reciprocal_rank_before": before.reciprocal_rank,
            "title_reciprocal_rank": after.reciprocal_rank,
        },
        _scale(space, seen, refined, [goods[place].category for place in watched]),
    )


def choose_labels(goods: Sequence[Goods], owners: Places, positives: Positives) -> Places:
    """What pulls products together, a number each, -1 for none. Raises FitError where it tells nothing apart."""
    if positives == "product":
        several = int((np.bincount(owners, minlength=len(goods)) > 1).sum())
        if several < FEWEST_SHOWN_TWICE:
            raise FitError(
                f"{several} products have two readable pictures, --positives product needs {FEWEST_SHOWN_TWICE}"
            )
        return np.arange(len(goods))
    labels = number([_label_name(product, positives) for product in goods]) - 1
    different = len(set(labels[labels >= 0].tolist()))
    if different < 2:  # noqa: PLR2004  # nothing to tell apart
        raise FitError(f"--positives {positives} needs two different ones, the catalog has {different}")
    return labels


def _say(gains: bool, loses: bool, watch: str) -> str:
    if not gains:
        return "nothing was gained for pictures on the held-out products"
    return (
        f"what was gained is lost in {watch.replace('_', ' ')}" if loses else "pictures find held-out products better"
    )


def _label_name(product: Goods, positives: Positives) -> str:
    return product.brand if positives == "brand" else product.category


def _look_weight(space: EmbeddingSpace) -> float:
    """What look weighs where a picture asks, with the likeness that an earlier fitting gave a share of it."""
    return sum(part.image_weight for part in space.parts if part.name in {LOOK, LIKENESS})


def _weigh_likeness(
    space: EmbeddingSpace, pictures: Mapping[str, Floats], share: float, likeness: Floats | None
) -> Floats:
    """Default-weighted vectors [n, size], a share of look's weight given to `likeness`; without it as they are."""
    weights = image_weights(space)
    if likeness is None:
        return weigh(weights, pictures)
    weight = _look_weight(space)
    weights |= {LOOK: weight * (1 - share), LIKENESS: weight * share}
    return weigh(weights, {**pictures, LIKENESS: likeness})


def _recall(pairs: Pairs, refined: Refined | None) -> Recall:
    """How titles find pictures, by the part as it is or by the heads upon it."""
    pictures, titles = pairs.pictures, pairs.sentences[:, _TITLE]
    if refined is not None and refined.text is not None:
        pictures, titles = apply_head(refined.image, pictures), apply_head(refined.text, titles)
    return measure_recall(titles, np.arange(len(titles)), pictures, pairs.owners)


def _scale(space: EmbeddingSpace, seen: Pairs, refined: Refined, categories: list[str]) -> float:
    """What turns cosines of meanings into logits, by how titles tell their products' pictures from others'."""
    if refined.text is None or len(categories) < 2:  # noqa: PLR2004  # one title is always right
        return space.label_scale
    titles = apply_head(refined.text, seen.sentences[:, _TITLE])
    return choose_scale(apply_head(refined.image, seen.pictures) @ titles.T, seen.owners, space.label_scale)
