"""All that was measured, and how it is written down."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sosie.training.evaluation.bootstrap import Estimate
from sosie.training.evaluation.catalog_data import CatalogData
from sosie.training.evaluation.classification import ClassifierReport
from sosie.training.evaluation.differences import FORMAT, Difference
from sosie.training.evaluation.embedding_map import EmbeddingMap
from sosie.training.evaluation.index_recall import IndexRecall
from sosie.training.evaluation.requirements import Outcome
from sosie.training.evaluation.retrieval import Ranking
from sosie.training.evaluation.worst import WorstQuestions

if TYPE_CHECKING:
    from sosie.training.fitting.pair_report import PairReport

Metrics = Mapping[str, Estimate]


@dataclass(frozen=True)
class LabelledMap:
    """A map with the labels of its points, "" for none, by what they say: category, brand."""

    map: EmbeddingMap
    labels: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Report:
    """One run of `sosie evaluate`: what was not measured is None or empty, and `notes` say why.

    `catalog` is the file's name, `space` the embedding space's, None where no encoder was asked; `settings` are what
    the figures depend on.
    """

    catalog: str
    space: str | None
    settings: Mapping[str, object]
    data: CatalogData | None = None
    rankings: Sequence[Ranking] = ()
    worst: Sequence[WorstQuestions] = ()
    index: IndexRecall | None = None
    classifiers: Sequence[ClassifierReport] = ()
    pairs: "PairReport | None" = None
    map: LabelledMap | None = None
    notes: Sequence[str] = ()
    differences: Sequence[Difference] = ()
    earlier: str | None = None
    outcomes: Sequence[Outcome] = field(default_factory=tuple)

    def metrics(self) -> dict[str, Estimate]:
        """Every figure by its name, as `--require` and `--against` know it."""
        found: dict[str, Estimate] = {}
        for ranking in self.rankings:
            for relation, estimates in ranking.estimates.items():
                found |= {f"{ranking.name}.{relation}.{name}": figure for name, figure in estimates.items()}
        if self.index:
            for question, estimates in self.index.estimates.items():
                found |= {f"index.{question}.{name}": figure for name, figure in estimates.items()}
        for classifier in self.classifiers:
            found |= {
                f"classification.{classifier.name}.{name}": figure for name, figure in classifier.estimates.items()
            }
        found |= _pair_metrics(self.pairs) if self.pairs else {}
        return found | (_data_metrics(self.data) if self.data else {})

    def to_json(self) -> str:
        """The report for programs, stable under the same seed: no times and no pictures."""
        said = {
            "format": FORMAT,
            "catalog": self.catalog,
            "space": self.space,
            "settings": dict(self.settings),
            "metrics": {name: asdict(figure) for name, figure in self.metrics().items()},
            "notes": list(self.notes),
            "requirements": [
                {"requirement": str(outcome.requirement), "value": outcome.value, "holds": outcome.holds}
                for outcome in self.outcomes
            ],
            "differences": [
                {
                    "name": difference.name,
                    "before": asdict(difference.before) if difference.before else None,
                    "after": asdict(difference.after) if difference.after else None,
                    "change": difference.change,
                    "apart": difference.apart,
                }
                for difference in self.differences
            ],
            "data": _describe_data(self.data) if self.data else None,
            "retrieval": [
                {"name": ranking.name, "ceilings": dict(ranking.ceilings), "chances": dict(ranking.chances)}
                for ranking in self.rankings
            ],
            "worst": [
                {
                    "ranking": worst.ranking,
                    "questions": [
                        {
                            "title": each.question.title,
                            "path": each.question.path,
                            "average_precision": each.average_precision,
                        }
                        for each in worst.questions
                    ],
                }
                for worst in self.worst
            ],
            "classification": [
                {
                    "name": classifier.name,
                    "label_set": classifier.label_set,
                    "split": classifier.split,
                    "classes": [asdict(figures) for figures in classifier.classes],
                    "confusion": classifier.confusion.tolist(),
                    "reliability": [asdict(part) for part in classifier.reliability],
                }
                for classifier in self.classifiers
            ],
            "index": (
                {name: getattr(self.index, name) for name in ("space", "rows", "fetched", "questions")}
                if self.index
                else None
            ),
            "pairs": self.pairs.to_json() if self.pairs else None,
        }
        return json.dumps(_finite(said), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _data_metrics(data: CatalogData) -> dict[str, Estimate]:
    counts: dict[str, float] = {
        "products": data.products,
        "pictures": len(data.pictures),
        "unusable_pictures": len(data.unusable),
        "small_pictures": data.small,
        "same_groups": len(data.same),
        "near_groups": len(data.near),
    }
    counts |= {f"without_{what.replace(' ', '_')}": count for what, count in data.gaps.items()}
    for label, imbalance in data.imbalance.items():
        counts |= {f"{label}.{name}": value for name, value in asdict(imbalance).items()}
    return {f"data.{name}": Estimate(float(value), count=data.products) for name, value in counts.items()}


def _describe_data(data: CatalogData) -> dict[str, object]:
    def paths(groups: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[data.pictures[place].path for place in group] for group in groups]

    return {
        "counts": data.counts,
        "gaps": data.gaps,
        "formats": data.formats,
        "unusable": [{"path": picture.path, "problem": picture.problem} for picture in data.unusable],
        "same": paths(data.same),
        "near": paths(data.near),
        "imbalance": {label: asdict(imbalance) for label, imbalance in data.imbalance.items()},
    }


def _pair_metrics(pairs: "PairReport") -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for kind, figures in (("head", pairs.head), ("baseline", pairs.baseline)):
        values = {"auc": figures.auc, "auc_hard": figures.auc_hard, "brier": figures.brier, "ece": figures.ece}
        values |= {f"tpr_at_fpr_{rate}": value for rate, value in figures.tpr_at_fpr.items()}
        count = pairs.positives + pairs.negatives
        found |= {
            f"pairs.{kind}.{name}": Estimate(float(value), count=count)
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        }
    return found


def _finite(value: Any) -> Any:
    """The same in JSON's own types: what is no finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
