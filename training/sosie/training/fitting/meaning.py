"""Fits the bundle mini to a catalog, judges the result on held-out products, and makes it into models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from sosie.training import imagenet, mini, parts
from sosie.training.fitting.contrast import BATCH, Heads, Pairs, embed_pictures, embed_sentences, fit_heads
from sosie.training.fitting.features import CatalogFeatures
from sosie.training.fitting.judging import Places, check_families, choose_scale, choose_weight, measure_recall, split
from sosie.training.fitting.sampling import Views, mine_neighbours, number
from sosie.training.heads import Floats, Projection
from sosie.training.sentences import encode_sentences
from sosie.training.vectors import softmax

_TITLE = 1  # its place among Goods.sentences


@dataclass(frozen=True)
class Outcome:
    """What a fitting gave.

    `gained` says whether sentences find held-out pictures better than in the unfitted space, beyond chance; `figures`
    are those of the judged products, `weights` the default weights by part (for a picture, for a sentence).
    """

    gained: bool
    heads: Heads
    weights: Mapping[str, tuple[float, float]]
    label_scale: float
    figures: Mapping[str, float]


def fit(
    sources: mini.Sources,
    catalog: CatalogFeatures,
    *,
    seed: int,
    epochs: int,
    tell: Callable[[str], None],
    batch: int = BATCH,
    hard_negatives: int = 0,
) -> Outcome:
    """Fits heads to a catalog. Raises FitError where it holds too few products."""
    families = [product.family for product in catalog.goods]
    check_families(families)
    taught, watched, judged = split(families, seed)
    pairs = Pairs(catalog.pictures, catalog.owners, catalog.sentences)
    tell(f"fitting to {len(taught):,} products; {len(watched):,} are watched, {len(judged):,} judged by")
    names = _class_names(sources)
    mean = parts.relu6_mean(sources.image["_bn1.bias"], sources.image["_bn1.weight"])
    heads = fit_heads(
        pairs.select(taught),
        pairs.select(watched),
        ((mean + sources.image["_fc.weight"]).astype(np.float32), names),
        epochs=epochs,
        seed=seed,
        tell=tell,
        batch=batch,
        neighbours=_mine(sources, catalog, taught, hard_negatives) if hard_negatives else None,
    )
    held = pairs.select(judged)
    unfitted = parts.class_meaning(_probabilities(sources, held.pictures), names)
    products = np.arange(len(judged))
    before = measure_recall(held.sentences[:, _TITLE], products, unfitted, held.owners)
    pictures = embed_pictures(heads, held.pictures)
    after = measure_recall(embed_sentences(heads, held.sentences[:, _TITLE]), products, pictures, held.owners)
    figures = {
        "products_judged_by": float(len(judged)),
        "title_finds_picture_in_first_10_before": before.first_10,
        "title_finds_picture_in_first_10": after.first_10,
        "title_reciprocal_rank_before": before.reciprocal_rank,
        "title_reciprocal_rank": after.reciprocal_rank,
    }
    meaning, scale = _calibrate(sources, heads, pairs, watched, [product.category for product in catalog.goods])
    weights = {**mini.WEIGHTS, "meaning": (0.0, meaning)}
    return Outcome(after.is_better_than(before), heads, weights, scale, figures)


def assemble(sources: mini.Sources, outcome: Outcome, names: tuple[str, str]) -> mini.Bundle:
    """The image encoder and the text encoder of the fitted space; the classifier stays the bundle's own.

    So do look and colour: what pictures find by pictures is the same before and after.
    """
    bundle = mini.assemble(
        sources,
        look=Projection.whiten(sources.image),
        image_meaning=outcome.heads.image,
        text_meaning=outcome.heads.text,
        names=(*names, mini.CLASSIFIER),
        weights=outcome.weights,
        label_scale=outcome.label_scale,
        label_prompt="{}",  # the fitted head has learned from words as they are
        figures=outcome.figures,
    )
    return mini.Bundle(bundle.space, tuple(model for model in bundle.models if model.name in names))


def _calibrate(
    sources: mini.Sources, heads: Heads, pairs: Pairs, watched: Places, categories: list[str]
) -> tuple[float, float]:
    """A sentence's weight of meaning beside words, and the label scale, from the watched products' categories."""
    titles = pairs.sentences[watched, _TITLE]
    weight = choose_weight(
        embed_sentences(heads, titles) @ embed_pictures(heads, pairs.pictures).T,
        titles @ pairs.sentences[:, 0][pairs.owners].T,
        watched,
        pairs.owners,
        categories,
    )
    seen, categories = pairs.select(watched), [categories[place] for place in watched]
    pictures = embed_pictures(heads, seen.pictures)
    labels = sorted(set(categories) - {""})
    shown = np.array([categories[owner] for owner in seen.owners])
    known = shown != ""
    if len(labels) < 2:  # noqa: PLR2004  # one label is always right
        return weight, mini.LABEL_SCALE
    vectors = encode_sentences(mini.text_graph(sources).model().SerializeToString(), sources.tokenizer, labels)
    cosines = pictures[known] @ embed_sentences(heads, vectors).T
    truth: Places = np.searchsorted(np.array(labels), shown[known])
    return weight, choose_scale(cosines, truth, mini.LABEL_SCALE)


def _mine(sources: mini.Sources, catalog: CatalogFeatures, taught: Places, count: int) -> Places:
    """The most similar products of each of the taught ones, by look as it is and stays."""
    look = Projection.whiten(sources.image)
    vectors = parts.look(catalog.pictures, look.mean, look.matrix)
    kinds = number([product.category for product in catalog.goods])
    views = Views(vectors, catalog.owners, np.arange(len(catalog.goods)), kinds).select(taught)
    return mine_neighbours(views.vectors, views, count)


def _class_names(sources: mini.Sources) -> Floats:
    graph = mini.text_graph(sources).model().SerializeToString()
    return imagenet.name_vectors(partial(encode_sentences, graph, sources.tokenizer))


def _probabilities(sources: mini.Sources, features: Floats) -> Floats:
    """[n, 1000] of ImageNet's classes."""
    return softmax(features @ sources.image["_fc.weight"].T + sources.image["_fc.bias"])
