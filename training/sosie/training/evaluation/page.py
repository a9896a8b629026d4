"""The report as one page that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from sosie.training.evaluation import plots
from sosie.training.evaluation.bootstrap import Estimate
from sosie.training.evaluation.catalog_data import CatalogData
from sosie.training.evaluation.ranking import CEILING
from sosie.training.evaluation.report import Report
from sosie.training.evaluation.retrieval import Ranking
from sosie.training.evaluation.thumbnails import read_thumbnail

TEMPLATE = "report.html.jinja"
MAX_BARS = 20
MAX_LISTED = 50
MAX_CHANGES = 20
MAX_GROUPS = 12
GROUP_SIZE = 6

SAID: Mapping[str, str] = {
    "image": "A picture asks; it is left out itself, all others are candidates.",
    "text": "A product's title asks; the index holds the shop's words.",
    "text_without_words": "A product's title asks; the index holds no words of the shop's, only pictures.",
}


@dataclass(frozen=True)
class Table:
    """The figures of one kind of question by one relation: {weighting: {metric: figure}}."""

    relation: str
    rows: Mapping[str, Mapping[str, Estimate]]
    questions: int
    ceiling: float
    chance: float

    @property
    def columns(self) -> list[str]:
        return list(next(iter(self.rows.values())))


@dataclass(frozen=True)
class QuestionTables:
    """One kind of question: a plot, and a table a relation."""

    name: str
    said: str
    plots: Sequence[Markup]
    tables: Sequence[Table]


@dataclass(frozen=True)
class Bars:
    """Counts as bars: the most frequent, each with its share of the greatest; `rest` are how many more there are."""

    name: str
    rows: Sequence[tuple[str, int, float]]
    rest: int


@dataclass(frozen=True)
class Group:
    """Pictures that are the same: `shown` are (path, thumbnail), `more` are how many are not shown."""

    shown: Sequence[tuple[str, str]]
    more: int


def render_page(report: Report, images: Path) -> str:
    """The page; `images` is the folder of the catalog's pictures."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["figure"] = _figure
    source = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    page: str = environment.from_string(source).render(
        report=report,
        questions=_question_tables(report.rankings),
        maps=_maps(report),
        classifiers=[
            {
                "report": each,
                "confusion": Markup(plots.plot_confusion(each.confusion, each.labels)),  # noqa: S704  # our own SVG
                "reliability": Markup(plots.plot_reliability(each.reliability)),  # noqa: S704
            }
            for each in report.classifiers
        ],
        pairs=_pairs(report),
        data=_data(report.data, images) if report.data else None,
        ceiling=CEILING,
        max_listed=MAX_LISTED,
        max_changes=MAX_CHANGES,
    )
    return page


def _question_tables(rankings: Sequence[Ranking]) -> list[QuestionTables]:
    found = []
    for question, said in SAID.items():
        asked = [ranking for ranking in rankings if ranking.question == question and ranking.estimates]
        relations = list(dict.fromkeys(relation for ranking in asked for relation in ranking.estimates))
        if not asked:
            continue
        tables = []
        for relation in relations:
            rows = {
                ranking.weighting: ranking.estimates[relation] for ranking in asked if relation in ranking.estimates
            }
            first = next(ranking for ranking in asked if relation in ranking.estimates)
            count = next(iter(first.estimates[relation].values())).count
            tables.append(Table(relation, rows, count, first.ceilings[relation], first.chances[relation]))
        drawn = [
            Markup(  # noqa: S704  # our own SVG
                plots.plot_estimates(
                    {
                        ranking.weighting: {name: figures[metric] for name, figures in ranking.estimates.items()}
                        for ranking in asked
                    },
                    said_on_axis,
                )
            )
            for metric, said_on_axis in (("hit_rate@10", "HitRate@10"), ("map", "mean average precision"))
        ]
        found.append(QuestionTables(question, said, drawn, tables))
    return found


def _maps(report: Report) -> list[tuple[str, Markup]]:
    if report.map is None:
        return []
    return [
        (name, Markup(plots.plot_map(report.map.map.points, labels)))  # noqa: S704  # our own SVG
        for name, labels in report.map.labels.items()
        if any(labels)
    ]


def _pairs(report: Report) -> Mapping[str, object] | None:
    if report.pairs is None:
        return None
    curves = {"same-product head": report.pairs.head.roc, "cosine": report.pairs.baseline.roc}
    bins = report.pairs.head.reliability
    return {
        "report": report.pairs,
        "roc": Markup(plots.plot_roc(curves)),  # noqa: S704  # our own SVG
        "reliability": Markup(plots.plot_reliability(bins, right="share that is the same")) if bins else "",  # noqa: S704
    }


def _data(data: CatalogData, images: Path) -> Mapping[str, object]:
    usable = data.usable
    return {
        "bars": [_bars(name, counts) for name, counts in data.counts.items() if counts],
        "sizes": (
            Markup(plots.plot_sizes([one.width for one in usable], [one.height for one in usable]))  # noqa: S704
            if usable
            else ""
        ),
        "same": [_group(data, group, images) for group in data.same[:MAX_GROUPS]],
        "near": [_group(data, group, images) for group in data.near[:MAX_GROUPS]],
    }


def _bars(name: str, counts: Mapping[str, int]) -> Bars:
    most = max(counts.values())
    rows = [(label, count, count / most) for label, count in list(counts.items())[:MAX_BARS]]
    return Bars(name, rows, len(counts) - len(rows))


def _group(data: CatalogData, group: Sequence[int], images: Path) -> Group:
    paths = [data.pictures[place].path for place in group]
    return Group([(path, read_thumbnail(images, path)) for path in paths[:GROUP_SIZE]], len(paths[GROUP_SIZE:]))


def _figure(value: float | None) -> str:
    """A figure as tables show it: shares with three places, counts as they are."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.3f}"
