"""Pairs of a question and a picture, with the cosines of their parts: those that fit, and those drawn by chance.

question    asks with                                          fits
image       a picture of a product                             the product's other pictures
text        a title; a short phrase                            pictures of all products of which that is said
image+text  a picture of a product and a sentence about it     the product's other pictures

All that a shop says of a product, as one list, is no question here: people do not ask so, and such lists are nearer to
all products than the names and phrases that people ask by, so that they would decide what a phrase scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sosie.engine.calibration import Kind
from sosie.engine.space import EmbeddingSpace, Parts
from sosie.training.evaluation.encoding import WORDS, EncodedCatalog
from sosie.training.evaluation.ranking import Flags, Places
from sosie.training.heads import Floats
from sosie.training.logistic import Doubles, Truth
from sosie.training.scoring.phrases import Phrase
from sosie.training.vectors import unit

MAX_QUESTIONS = 1000
"""Of a kind, spread over the catalog by chance."""
OTHERS = 100
"""Pictures by chance for each question; a catalog of fewer gives all that it has."""
SAME_PHOTOGRAPH = 0.999
"""Cosine of every part from which two pictures of one family are taken for one: a shop that numbers every size shows it
for each, and the pair is neither right nor wrong."""


@dataclass(frozen=True)
class AskedCatalog(EncodedCatalog):
    """A catalog with a short phrase about each product, and the parts [products, size] that it fills as a question."""

    phrases: tuple[Phrase, ...]
    phrase_parts: Parts

    def select(self, products: Places) -> "AskedCatalog":
        """The catalog of these products alone, in ascending order."""
        pictures = np.flatnonzero(np.isin(self.owners, products))
        return replace(
            self,
            goods=tuple(self.goods[place] for place in products),
            paths=tuple(self.paths[place] for place in pictures),
            owners=np.searchsorted(products, self.owners[pictures]),
            pictures=_take(self.pictures, pictures),
            titles=_take(self.titles, products),
            words=None if self.words is None else self.words[products],
            phrases=tuple(self.phrases[place] for place in products),
            phrase_parts=_take(self.phrase_parts, products),
        )


@dataclass(frozen=True)
class PairSet:
    """Pairs of one kind of question: cosines [n, parts] of `parts`, which of them fit [n], how much each counts [n].

    All that fit count as much as all others, and so do the questions among themselves. `defaults` are the weights that
    the parts have by default, 0 for those that only a caller weighs. `questions` is how many were asked.
    """

    kind: Kind
    parts: tuple[str, ...]
    defaults: Mapping[str, float]
    cosines: Doubles
    fits: Truth
    counted: Doubles
    questions: int


@dataclass(frozen=True)
class _Asked:
    """Questions: parts [q, size], which rows fit [q, rows], which are no candidates [q, rows], products [q]."""

    parts: Parts
    fits: Flags
    left_out: Flags
    products: Places


def draw_pairs(catalog: AskedCatalog, kind: Kind, *, seed: int) -> PairSet | None:
    """The pairs of one kind that a catalog gives, None where it gives none that fit."""
    rng = np.random.default_rng(seed)
    asked = _ask(catalog, kind, rng)
    rows = dict(catalog.pictures)
    if catalog.words is not None:
        rows[WORDS] = catalog.words[catalog.owners]
    names = tuple(name for name in catalog.space.names if name in rows and all(name in one.parts for one in asked))
    families = np.array([f"{product.shop}/{product.family}" for product in catalog.goods])
    cosines, fits, counted = [], [], []
    for questions in asked:
        for place in range(len(questions.products)):
            chosen = _choose_rows(questions, place, rng)
            found = np.stack([rows[name][chosen] @ questions.parts[name][place] for name in names], axis=1)
            right = questions.fits[place, chosen]
            same_family = families[catalog.owners[chosen]] == families[questions.products[place]]
            kept = right | ~(same_family & (found > SAME_PHOTOGRAPH).all(1))
            if right.any() and not right[kept].all():
                found, right = found[kept], right[kept]
                cosines.append(found)
                fits.append(right)
                counted.append(np.where(right, 1 / right.sum(), 1 / (~right).sum()))
    if not cosines:
        return None
    return PairSet(
        kind,
        names,
        default_weights(catalog.space, kind, names),
        np.concatenate(cosines).astype(np.float64),
        np.concatenate(fits),
        np.concatenate(counted) / (2 * len(counted)),
        len(counted),
    )


def default_weights(space: EmbeddingSpace, kind: Kind, names: Sequence[str]) -> dict[str, float]:
    """What these parts weigh by default where a question of this kind fills them."""
    return {
        part.name: part.default_weight(image="image" in kind, text="text" in kind)
        for part in space.parts
        if part.name in names
    }


def _ask(catalog: AskedCatalog, kind: Kind, rng: np.random.Generator) -> list[_Asked]:
    if kind == "image":
        return [_ask_by_picture(catalog, None, _draw(_shown_twice(catalog.owners), MAX_QUESTIONS, rng))]
    asked = []
    for sentences, is_true in ((catalog.titles, _say_titles), (catalog.phrase_parts, _say_phrases)):
        if kind == "text":
            products = _draw(np.arange(len(catalog.goods)), MAX_QUESTIONS // 2, rng)
            nothing = np.zeros((len(products), len(catalog.owners)), bool)
            fits = is_true(catalog, products)[:, catalog.owners]
            asked.append(_Asked(_take(sentences, products), fits, nothing, products))
        else:
            pictures = _draw(_shown_twice(catalog.owners), MAX_QUESTIONS // 2, rng)
            asked.append(_ask_by_picture(catalog, sentences, pictures))
    return asked


def _say_titles(catalog: AskedCatalog, asked: Places) -> Flags:
    """Of which products [asked, products] the titles of some are true."""
    titles = np.array([product.title for product in catalog.goods])
    same: Flags = titles[asked][:, None] == titles[None, :]
    return same


def _say_phrases(catalog: AskedCatalog, asked: Places) -> Flags:
    """Of which products [asked, products] the phrases about some are true."""
    return np.array([[catalog.phrases[place].is_true_of(product) for product in catalog.goods] for place in asked])


def _ask_by_picture(catalog: AskedCatalog, sentences: Parts | None, pictures: Places) -> _Asked:
    """With pictures, and where `sentences` are given with that of each picture's product; itself is no candidate."""
    products = catalog.owners[pictures]
    image = _take(catalog.pictures, pictures)
    if catalog.words is not None:  # a picture that is named, not sent, brings them
        image[WORDS] = catalog.words[products]
    parts = image if sentences is None else blend(catalog.space, image, _take(sentences, products))
    itself = pictures[:, None] == np.arange(len(catalog.owners))[None, :]
    return _Asked(parts, (products[:, None] == catalog.owners[None, :]) & ~itself, itself, products)


def blend(space: EmbeddingSpace, image: Parts, text: Parts) -> dict[str, Floats]:
    """The directions [q, size] of questions with a picture and a sentence, as `build_query` blends them by default."""
    blended = {**image, **text}
    for part in space.parts:
        if part.name in image and part.name in text:
            shares = (part.image_weight, part.text_weight) if part.image_weight + part.text_weight else (0.5, 0.5)
            blended[part.name] = unit(image[part.name] * shares[0] + text[part.name] * shares[1])
    return blended


def _choose_rows(questions: _Asked, place: int, rng: np.random.Generator) -> Places:
    """All that fit a question, and others by chance."""
    others = np.flatnonzero(~questions.fits[place] & ~questions.left_out[place])
    return np.concatenate([np.flatnonzero(questions.fits[place]), _draw(others, OTHERS, rng)])


def _shown_twice(owners: Places) -> Places:
    """The pictures whose product has another."""
    return np.flatnonzero(np.bincount(owners)[owners] > 1)


def _draw(places: Places, at_most: int, rng: np.random.Generator) -> Places:
    return np.sort(rng.permutation(places)[:at_most])


def _take(parts: Parts, places: Places) -> dict[str, Floats]:
    return {name: values[places] for name, values in parts.items()}
