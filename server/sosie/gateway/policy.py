"""Default weights by category: what an operator's policy file says, and which of its entries a category takes.

    classifier = "category"        # the label set that names a picture's category; "" to ask none
    threshold = 0.8                # how probable its best label has to be

    [categories.dresses]
    colour = 8
    look = 2

    [categories.Women.Shoes]
    colour = 1
    look = 1

A table is a category and holds weights by part, or narrower categories, or both.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sosie.engine.space import MAX_WEIGHT

DEFAULT_LABEL_SET = "category"
DEFAULT_THRESHOLD = 0.8
_MAX_LEVELS = 8  # a product's category path has no more
_MAX_LEVEL = 128  # characters


class PolicyError(ValueError):
    """A policy file is wrong; the message lists every problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Entry:
    """A category, by its levels from the widest on, and the weights of its questions by part: 0 to 100 each."""

    path: tuple[str, ...]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Policy:
    """What the file says. `label_set` is empty where no classifier is to be asked; `threshold` is 0 to 1."""

    entries: tuple[Entry, ...] = ()
    label_set: str = DEFAULT_LABEL_SET
    threshold: float = DEFAULT_THRESHOLD

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The policy of a file's bytes. Raises PolicyError."""
        try:
            said = tomllib.loads(data.decode())
        except ValueError as error:  # UnicodeDecodeError and TOMLDecodeError are
            raise PolicyError([f"is no TOML: {error}"]) from error
        problems = [
            f"{name} is no setting, only classifier, threshold and categories are"
            for name in sorted(said.keys() - {"classifier", "threshold", "categories"})
        ]
        label_set = said.get("classifier", DEFAULT_LABEL_SET)
        if not isinstance(label_set, str):
            problems.append('classifier is the name of a label set, or "" for none')
        threshold = said.get("threshold", DEFAULT_THRESHOLD)
        if not _is_number(threshold) or not 0 <= threshold <= 1:  # NaN fails too
            problems.append("threshold is a number from 0 to 1")
        categories = said.get("categories", {})
        entries: list[Entry] = []
        if isinstance(categories, dict):
            entries = list(_read_table(categories, (), problems))
        else:
            problems.append("categories is a table of tables, as in [categories.dresses]")
        seen: dict[tuple[str, ...], Entry] = {}
        for entry in entries:
            first = seen.setdefault(_fold(entry.path), entry)
            if first is not entry:
                problems.append(f"{_name(first.path)} and {_name(entry.path)} differ in their case alone")
        if problems:
            raise PolicyError(problems)
        return cls(tuple(entries), label_set, float(threshold))

    def find(self, category_path: Sequence[str]) -> Entry | None:
        """The entry that a category takes, None where there is none.

        An entry is taken where its levels stand one after another in the path, wherever that is, without regard to
        case. Of several the one that reaches the narrowest level, then the one with more levels.
        """
        path = _fold(category_path)
        levels = (path[start:end] for end in range(len(path), 0, -1) for start in range(end))
        return next((self._by_levels[found] for found in levels if found in self._by_levels), None)

    @cached_property
    def _by_levels(self) -> dict[tuple[str, ...], Entry]:
        return {_fold(entry.path): entry for entry in self.entries}

    def weights_for(self, category_path: Sequence[str]) -> Mapping[str, float] | None:
        """The weights of the entry that a category takes."""
        entry = self.find(category_path)
        return entry.weights if entry else None


def choose_label(labels: Sequence[str], probabilities: npt.NDArray[np.float32], threshold: float) -> str | None:
    """The most probable label, where its probability is `threshold` at least; None where nothing is so sure."""
    best = int(np.argmax(probabilities))
    return labels[best] if probabilities[best] >= threshold else None  # NaN fails


def _read_table(table: Mapping[str, Any], path: tuple[str, ...], problems: list[str]) -> Iterator[Entry]:
    """The entries of a category's table and of those in it; what is wrong goes to `problems`."""
    weights: dict[str, float] = {}
    for key, value in table.items():
        below = (*path, key)
        if isinstance(value, dict):
            problems.extend(f"{_name(below)}{problem}" for problem in _check_level(below, value))
            yield from _read_table(value, below, problems)
        elif not path:
            problems.append(f"{_name(below)} is a weight of no category: it goes into a table, as [categories.dresses]")
        elif not _is_number(value):
            problems.append(f"{_name(below)} is neither a weight nor a table")
        else:
            weights[key] = float(value)
    if weights:
        problems.extend(f"{_name(path)}.{problem}" for problem in _check_weights(weights))
        yield Entry(path, weights)


def _check_level(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a category's name and place."""
    if not path[-1].strip() or len(path[-1]) > _MAX_LEVEL:
        yield f": a level of a category has 1 to {_MAX_LEVEL} characters"
    if len(path) > _MAX_LEVELS:
        yield f": a category has at most {_MAX_LEVELS} levels"
    if not table:
        yield " has no weights"


def _check_weights(weights: Mapping[str, float]) -> Iterator[str]:
    for name, weight in weights.items():
        if not 0 <= weight <= MAX_WEIGHT:
            yield f"{name}: must be 0 to {MAX_WEIGHT:g}, got {weight:g}"
    if not any(weights.values()):
        yield f"{', '.join(weights)}: one weight has to be above 0"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _fold(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(level.strip().casefold() for level in path)


def _name(path: Sequence[str]) -> str:
    return ".".join(["categories", *path])
