"""The questions that fare worst: where a person sees what the figures hide."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sosie.training.errors import EvaluationError
from sosie.training.evaluation.encoding import EncodedCatalog
from sosie.training.evaluation.ranking import NONE
from sosie.training.evaluation.retrieval import Ranking, RetrievalSettings, Truth
from sosie.training.evaluation.thumbnails import read_thumbnail

QUESTIONS = 12
HITS = 6
DEFAULTS = ("image.default.product", "image.default.category", "text_without_words.default.category")
"""What is shown unless something is named, as far as it was measured."""


@dataclass(frozen=True)
class Shown:
    """A picture, or a title, with the label that it goes by; `right` is None for the question."""

    title: str
    label: str
    path: str
    thumbnail: str
    right: bool | None = None


@dataclass(frozen=True)
class WorstQuestion:
    """A question with its average precision and its first hits."""

    question: Shown
    average_precision: float
    hits: tuple[Shown, ...]


@dataclass(frozen=True)
class WorstQuestions:
    """Those of `ranking`, e.g. image.default.product, the worst first; of `asked` questions that count."""

    ranking: str
    asked: int
    questions: tuple[WorstQuestion, ...]


def choose_worst(rankings: Sequence[Ranking], names: Sequence[str]) -> list[tuple[Ranking, str]]:
    """The rankings that are shown, each with its relation. Raises EvaluationError for a name that was not measured."""
    known = {
        f"{ranking.name}.{relation}": (ranking, relation) for ranking in rankings for relation in ranking.estimates
    }
    for name in names:
        if name not in known:
            raise EvaluationError(f"--worst: {name!r} was not measured; there are {', '.join(known) or 'none'}")
    return [known[name] for name in (names or DEFAULTS) if name in known]


def find_worst(
    catalog: EncodedCatalog, truth: Truth, ranking: Ranking, relation: str, *, settings: RetrievalSettings, images: Path
) -> WorstQuestions:
    """The questions with the least average precision, a product once."""
    precision = ranking.average_precision(relation)
    order = [int(place) for place in np.argsort(precision, kind="stable") if not np.isnan(precision[place])]
    chosen: dict[int, int] = {}
    for place in order:
        chosen.setdefault(int(ranking.products[place]), place)
        if len(chosen) == QUESTIONS:
            break
    labels = truth.labels[relation]
    pictures_of = np.searchsorted(catalog.owners, np.arange(len(catalog.goods)))

    def show(product: int, picture: int, right: bool | None = None) -> Shown:
        goods = catalog.goods[product]
        path = catalog.paths[picture] if picture != NONE else ""
        label = getattr(goods, relation, "") or goods.category
        return Shown(goods.title, label, path, read_thumbnail(images, path) if path else "", right)

    def show_hit(candidate: int, product: int) -> Shown:
        picture = int(pictures_of[candidate]) if settings.by_product else candidate
        owner = candidate if settings.by_product else int(catalog.owners[candidate])
        return show(owner, picture, bool(labels[owner] == labels[product]))

    questions = []
    for product, place in chosen.items():
        first = [int(candidate) for candidate in ranking.ranked.first[place][:HITS] if candidate != NONE]
        asked = show(product, int(ranking.pictures[place]))
        hits = tuple(show_hit(candidate, product) for candidate in first)
        questions.append(WorstQuestion(asked, float(precision[place]), hits))
    return WorstQuestions(f"{ranking.name}.{relation}", len(order), tuple(questions))
