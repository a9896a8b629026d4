"""`sosie evaluate`: measures models on a catalog, and writes one report."""

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.training.console import tell

if TYPE_CHECKING:
    from sosie.training.evaluation.assessment import Settings
    from sosie.training.evaluation.report import Report

HELP = "measure models on a catalog: one report with figures, plots and the worst questions"
EXTRA = "training"

SECTIONS = ("all", "data", "retrieval", "classification", "pairs")
SHOWN_NOTES = 20

_SHOWN = re.compile(r"\w+\.default\.\w+\.(hit_rate@10|acc@10|map)$|classification|index|pairs")
"""What is printed; the report has all figures."""
_EPILOG = """\
exit status: 0 done; 1 a --require does not hold, or nothing could be measured; 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("what", nargs="?", choices=SECTIONS, default="all", help="what to measure (%(default)s)")
    add("--catalog", type=Path, required=True, metavar="FILE", help="the catalog, a product a line")
    add("--images", type=Path, required=True, metavar="DIR", help="the folder of its pictures")
    add("--out", type=Path, required=True, metavar="DIR", help="where report.html and report.json go")
    add("--repository", type=Path, default=Path("model_repository"), metavar="DIR", help="the models (%(default)s)")
    add("--space", metavar="NAME", help="the embedding space; default: the only one of the repository")
    add("--against", type=Path, metavar="FILE", help="an earlier report.json, to show what changed")
    add(
        "--require",
        action="append",
        default=[],
        type=_requirement,
        metavar="METRIC>=VALUE",
        help="end with status 1 unless it holds; or METRIC<=VALUE; names as in report.json; repeatable",
    )
    add("--seed", type=_seed, default=0, metavar="N", help="decides splits, draws and intervals (%(default)s)")
    add(
        "--max-products",
        type=_positive,
        default=10_000,
        metavar="N",
        help="use at most so many, spread over the catalog; classifiers are judged on all (%(default)s)",
    )
    _add_retrieval(parser.add_argument_group("retrieval"))
    _add_classification(parser.add_argument_group("classification and pairs"))


def _add_retrieval(group: "argparse._ArgumentGroup") -> None:  # the only name of that type
    add = group.add_argument
    add(
        "--weights",
        action="append",
        default=[],
        type=_weights,
        metavar="PART=W,...",
        help="one more weighting, beside the default one and each part alone; repeatable",
    )
    add(
        "--questions",
        choices=("all", "held-out"),
        default="all",
        help="held-out: only products that `sosie models fit` of the same --seed did not learn from (%(default)s)",
    )
    add("--group-by-product", action="store_true", help="count products, as the service answers, not pictures")
    add(
        "--without-own-product",
        action="store_true",
        help="by category and brand, leave out other pictures of the question's own product",
    )
    add(
        "--worst",
        action="append",
        default=[],
        metavar="RANKING",
        help="whose worst questions to show, e.g. image.look.category; repeatable",
    )
    add(
        "--map-points",
        type=_count,
        default=3_000,
        metavar="N",
        help="pictures on the embedding map, 0 for none (%(default)s)",
    )
    add("--store", metavar="URI", help="an index: compare it with exact search; a path ending in .db or http(s)://")
    add("--collection", default="sosie", metavar="NAME", help="its alias (%(default)s)")


def _add_classification(group: "argparse._ArgumentGroup") -> None:  # the only name of that type
    add = group.add_argument
    add(
        "--classifier",
        action="append",
        default=[],
        metavar="NAME",
        help="a model of the repository; default: all whose labels are brands or categories; repeatable",
    )
    add(
        "--split",
        choices=("test", "all"),
        default="test",
        help="judge what `sosie train classifier` of the same --seed held out, or all (%(default)s)",
    )
    add("--split-attribute", metavar="NAME", help="a product's split is its attribute of this name")
    add("--scorer", default="same_product", metavar="NAME", help="the same-product model (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Measures, writes the report, and says whether all requirements hold."""
    try:
        from sosie.training.evaluation.assessment import evaluate  # noqa: PLC0415  # what needs the extra
        from sosie.training.evaluation.page import render_page  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SystemExit(f"sosie evaluate: needs {error.name}; pip install 'sosie[training]'") from error
    from sosie.engine.errors import EngineError  # noqa: PLC0415
    from sosie.training.errors import TrainingError  # noqa: PLC0415

    try:
        report = evaluate(_read_settings(arguments), tell=tell)
    except (TrainingError, EngineError) as error:
        raise SystemExit(f"sosie evaluate: {error}") from error
    out: Path = arguments.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(report.to_json(), encoding="utf-8")
        (out / "report.html").write_text(render_page(report, arguments.images), encoding="utf-8")
    except OSError as error:
        raise SystemExit(f"sosie evaluate: cannot write to {out}: {error.strerror or error}") from error
    return _conclude(report, out)


def _conclude(report: "Report", out: Path) -> int:
    for note in report.notes[:SHOWN_NOTES]:
        tell(f"left out: {note}")
    if len(report.notes) > SHOWN_NOTES:
        tell(f"left out: {len(report.notes) - SHOWN_NOTES:,} more, listed in the report")
    for name, figure in report.metrics().items():
        if _SHOWN.match(name):
            bounds = "" if figure.low is None else f"  [{figure.low:.3f}, {figure.high:.3f}]"
            print(f"{name:<52} {figure.value:7.3f}{bounds}")
    for difference in report.differences:
        if difference.apart:
            print(f"changed: {difference.name} by {difference.change:+.3f}")
    for outcome in report.outcomes:
        print(outcome)
    print(f"{out / 'report.html'}: written, report.json beside it")
    return 0 if all(outcome.holds for outcome in report.outcomes) else 1


def _read_settings(arguments: argparse.Namespace) -> "Settings":
    from sosie.training.evaluation.assessment import Settings  # noqa: PLC0415  # as in run
    from sosie.training.evaluation.classifiers import Held  # noqa: PLC0415
    from sosie.training.evaluation.requirements import Requirement  # noqa: PLC0415
    from sosie.training.evaluation.retrieval import RetrievalSettings  # noqa: PLC0415

    store = arguments.store
    if store and not store.endswith(".db") and not store.startswith(("http://", "https://")):
        raise SystemExit(f"sosie evaluate: --store {store!r} is neither a path ending in .db nor http(s)://host:port")
    return Settings(
        what=arguments.what,
        catalog=arguments.catalog,
        images=arguments.images,
        repository=arguments.repository,
        space=arguments.space,
        store=store,
        collection=arguments.collection,
        retrieval=RetrievalSettings(
            weights=dict(arguments.weights),
            by_product=arguments.group_by_product,
            without_own_product=arguments.without_own_product,
            held_out=arguments.questions == "held-out",
            seed=arguments.seed,
        ),
        held=Held(arguments.split, arguments.split_attribute, arguments.seed),
        classifiers=tuple(arguments.classifier),
        scorer=arguments.scorer,
        worst=tuple(arguments.worst),
        map_points=arguments.map_points,
        max_products=arguments.max_products,
        against=arguments.against,
        requirements=tuple(Requirement.parse(text) for text in arguments.require),
    )


def _requirement(text: str) -> str:
    """Looks at its form alone: what reads it needs the extra."""
    if not re.fullmatch(r"[^<>]+(>=|<=)\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", text, re.IGNORECASE):
        raise argparse.ArgumentTypeError(f"expected metric>=value or metric<=value, got {text!r}")
    return text


def _weights(text: str) -> tuple[str, dict[str, float]]:
    """The weighting's name, which is the text itself, and its weights."""
    weights: dict[str, float] = {}
    for piece in text.split(","):
        name, _, number = piece.partition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not 0 <= weight <= 100:  # noqa: PLR2004  # the engine's bounds
            raise argparse.ArgumentTypeError(f"expected part=weight,..., weights 0 to 100, got {text!r}")
        weights[name] = weight
    return text, weights


def _positive(text: str) -> int:
    number = _count(text)
    if not number:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _count(text: str) -> int:
    most = 1_000_000
    if not text.isdecimal() or int(text) > most:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {most}, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    return _count(text)
