"""Limits that metrics must keep, as `--require` gives them: a release may stand on them."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sosie.training.errors import EvaluationError
from sosie.training.evaluation.bootstrap import Estimate

_LIMIT = re.compile(r"\s*(?P<name>[^<>]+?)\s*(?P<relation>>=|<=)\s*(?P<limit>[^<>=]+)")
_NEAR_NAMES = 3


@dataclass(frozen=True)
class Requirement:
    """`name` is a metric's in report.json; its value must be at least, or at most, `limit`."""

    name: str
    at_least: bool
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Reads "metric>=value" or "metric<=value". Raises ValueError."""
        found = _LIMIT.fullmatch(text)
        try:
            limit = float(found["limit"]) if found else math.nan
        except ValueError:
            limit = math.nan
        if found is None or not math.isfinite(limit):
            raise ValueError(f"expected metric>=value or metric<=value, got {text!r}")
        return cls(found["name"], found["relation"] == ">=", limit)

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.at_least else '<='} {self.limit:g}"

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Outcome:
    """A requirement, and the figure that it was held against."""

    requirement: Requirement
    value: float

    @property
    def holds(self) -> bool:
        return self.requirement.holds(self.value)

    def __str__(self) -> str:
        return f"{self.requirement}: {'holds' if self.holds else 'FAILS'}, it is {self.value:.4g}"


def check_requirements(requirements: Sequence[Requirement], metrics: Mapping[str, Estimate]) -> list[Outcome]:
    """Raises EvaluationError for a metric that was not measured; the names nearest to it are told."""
    for requirement in requirements:
        if requirement.name not in metrics:
            near = difflib.get_close_matches(requirement.name, metrics, _NEAR_NAMES, cutoff=0.4)
            hint = f"the nearest are {', '.join(near)}" if near else "report.json lists what was"
            raise EvaluationError(f"--require: {requirement.name!r} was not measured; {hint}")
    return [Outcome(requirement, metrics[requirement.name].value) for requirement in requirements]
