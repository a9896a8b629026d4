"""Which weights a question gets: its own, else those of its category, else the embedding space's."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from sosie.engine.errors import EngineError
from sosie.engine.inference import Classifier
from sosie.engine.space import EmbeddingSpace, Parts
from sosie.gateway.policy import Entry, Policy, choose_label
from sosie.gateway.reloading import ReloadedFile

_LOG = logging.getLogger(__name__)

_Result = TypeVar("_Result")

Category: TypeAlias = tuple[str, ...]
"""The levels of a category from the widest on; empty for none."""
Score = Callable[[Classifier], Awaitable[npt.NDArray[np.float32]]]
"""Has a classifier score the question's picture: probabilities [labels]."""


@dataclass(frozen=True)
class Chosen:
    """The weights that a question names or its category gives it; `category` is empty where that gave none."""

    weights: Mapping[str, float]
    category: Category = ()


class Weighting:
    """Weights by the policy file `path`; without one, every question keeps its own and the space's.

    Raises ValueError and OSError where the file cannot be taken at the start; later ones are as ReloadedFile says.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = ReloadedFile(path, Policy.read) if path else None
        self._told: set[tuple[str, ...]] = set()
        self._recognising = True

    def label_set(self, *, category: Sequence[str], own: Mapping[str, float]) -> str:
        """The label set that has to name the category of a picture that was sent; "" where none need be asked."""
        if self._file is None or category or own:
            return ""
        policy = self._file.value
        return policy.label_set if policy.entries else ""

    async def recognise(self, classifiers: Mapping[str, Classifier], label_set: str, score: Score) -> Category:
        """The category that a served classifier is sure of, else (). What goes wrong is logged, once until it works."""
        classifier = classifiers.get(label_set)
        if classifier is None or self._file is None:
            self._tell_unrecognised(f"no classifier of the label set {label_set!r} is served")
            return ()
        try:
            probabilities = await score(classifier)
        except EngineError as error:
            self._tell_unrecognised(str(error))
            return ()
        self._recognising = True
        label = choose_label(classifier.labels, probabilities, self._file.value.threshold)
        return () if label is None else (label,)

    def choose(
        self,
        space: EmbeddingSpace,
        category: Sequence[str],
        own: Mapping[str, float],
        *,
        image: Parts | None = None,
        text: Parts | None = None,
    ) -> Chosen:
        """The weights of a question that fills these parts: its own, part by part, before its category's."""
        entry = self._file.value.find(category) if self._file and category else None
        if entry is None:
            return Chosen(own)
        self._tell_unknown(entry, space)
        defaults = _default_weights(space, image, text)
        given = {name: weight for name, weight in scale(entry.weights, defaults).items() if name not in own}
        weights = {**given, **own}
        if not given or not any(weights.get(name, default) for name, default in defaults.items()):
            return Chosen(own)
        return Chosen(weights, entry.path)

    def _tell_unrecognised(self, problem: str) -> None:
        if self._recognising:
            _LOG.warning("no category is recognised, such questions get the space's own weights: %s", problem)
        self._recognising = False

    def _tell_unknown(self, entry: Entry, space: EmbeddingSpace) -> None:
        """Says once of each entry which of its parts the served space has not."""
        unknown = sorted(entry.weights.keys() - set(space.names))
        told = (space.name, *entry.path, *unknown)
        if unknown and told not in self._told:
            self._told.add(told)
            _LOG.warning(
                "the policy's weights of %s name parts that the space %s has not, and go without them: %s",
                "/".join(entry.path), space.name, ", ".join(unknown),
            )  # fmt: skip


def scale(weights: Mapping[str, float], defaults: Mapping[str, float]) -> dict[str, float]:
    """The weights of those parts that are in `defaults`, scaled so that these weigh together what they do by default.

    A policy says how parts compare with each other. What they weigh beside parts that it does not name, those of a
    sentence beside a picture's, stays.

    >>> scale({"colour": 8, "look": 2}, {"look": 1.0, "colour": 0.25, "words": 1.0})
    {'colour': 1.0, 'look': 0.25}
    """
    known = {name: weight for name, weight in weights.items() if name in defaults}
    total, wanted = sum(known.values()), sum(defaults[name] for name in known)
    factor = wanted / total if wanted and total else 1.0
    return {name: weight * factor for name, weight in known.items()}


async def run_beside(main: Awaitable[_Result], beside: Awaitable[Category]) -> tuple[_Result, Category]:
    """Both results; where `main` fails or is cancelled, what runs beside it is cancelled."""
    task = asyncio.ensure_future(beside)
    try:
        return await main, await task
    finally:
        task.cancel()


def _default_weights(space: EmbeddingSpace, image: Parts | None, text: Parts | None) -> dict[str, float]:
    """The default weight of each part that a question fills."""
    seen, said = image or {}, text or {}
    return {
        part.name: part.default_weight(image=part.name in seen, text=part.name in said)
        for part in space.parts
        if part.name in seen or part.name in said
    }
