"""Limits that a rebuilt collection must keep before it goes live, as `--require` gives them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LIMIT = re.compile(r"\s*(?P<name>[^<>\s]+)\s*(?P<relation>>=|<=)\s*(?P<limit>[^<>=]+)")


@dataclass(frozen=True)
class Requirement:
    """The metric of that name must be at least, or at most, `limit`."""

    name: str
    at_least: bool
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Reads "overlap@10>=0.8" or "rows<=1.5". Raises ValueError, also for a metric that there is not."""
        found = _LIMIT.fullmatch(text)
        try:
            limit = float(found["limit"]) if found else math.nan
        except ValueError:
            limit = math.nan
        if found is None or not math.isfinite(limit):
            raise ValueError(f"expected METRIC>=VALUE or METRIC<=VALUE, got {text!r}")
        if found["name"] not in METRICS:
            raise ValueError(f"there is no metric {found['name']!r}, only {', '.join(METRICS)}")
        return cls(found["name"], found["relation"] == ">=", limit)

    @property
    def needs_live(self) -> bool:
        """Whether it compares with the live collection."""
        return self.name in COMPARING or self.name.endswith(CHANGE)

    @property
    def needs_questions(self) -> bool:
        return self.name.removesuffix(CHANGE) in ANSWERS

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{self.name}{'>=' if self.at_least else '<='}{self.limit:g}"


ANSWERS = ("hit@10", "recall@10", "mrr@10")
"""How well a collection answers a set of questions."""

CHANGE = ".change"
"""What is appended to one of ANSWERS for its difference from the live collection's."""

COMPARING = ("rows", "kept", "overlap@10")
METRICS = (*COMPARING, "self@10", *ANSWERS, *(f"{name}{CHANGE}" for name in ANSWERS))


def find_failures(requirements: Sequence[Requirement], metrics: Mapping[str, float], *, has_live: bool) -> list[str]:
    """Those that do not hold, in words. Without a live collection there is nothing to compare with, nor to lose."""
    failures = []
    for requirement in requirements:
        if requirement.needs_live and not has_live:
            continue
        value = metrics.get(requirement.name)
        if value is None:
            failures.append(f"{requirement} could not be measured")
        elif not requirement.holds(value):
            failures.append(f"{requirement} does not hold, it is {value:.4g}")
    return failures
