"""What changed since an earlier report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sosie.training.errors import EvaluationError
from sosie.training.evaluation.bootstrap import Estimate

FORMAT = 1
"""Of report.json; a change that older readers would misread raises it."""


@dataclass(frozen=True)
class Difference:
    """A metric before and after; None where a report lacks it."""

    name: str
    before: Estimate | None
    after: Estimate | None

    @property
    def change(self) -> float | None:
        return self.after.value - self.before.value if self.before and self.after else None

    @property
    def size(self) -> float:
        """Of the change, without its sign."""
        return abs(self.change or 0.0)

    @property
    def apart(self) -> bool:
        """Whether the 95 % intervals do not overlap: then the change is more than chance, else it may still be."""
        if not (self.before and self.after):
            return False
        one, other = self.before, self.after
        if one.low is None or one.high is None or other.low is None or other.high is None:
            return False
        return one.high < other.low or other.high < one.low


@dataclass(frozen=True)
class Earlier:
    """What an earlier report.json says: its space, its settings, its metrics."""

    space: str
    catalog: str
    metrics: Mapping[str, Estimate]


def read_earlier(path: Path) -> Earlier:
    """Reads a report.json. Raises EvaluationError where it is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            raise EvaluationError(f"{path} has the format {raw['format']!r}, {FORMAT} is read here: evaluate anew")
        metrics = {
            str(name): Estimate(float(said["value"]), said["low"], said["high"], int(said["count"]))
            for name, said in raw["metrics"].items()
        }
        return Earlier(str(raw["space"] or ""), str(raw["catalog"]), metrics)
    except OSError as error:
        raise EvaluationError(f"cannot read the earlier report {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(f"{path} is no report.json of `sosie evaluate`: {error!r}") from error


def compare(before: Mapping[str, Estimate], after: Mapping[str, Estimate]) -> list[Difference]:
    """Every metric of either report, those of the later one first."""
    names = [*after, *(name for name in before if name not in after)]
    return [Difference(name, before.get(name), after.get(name)) for name in names]
