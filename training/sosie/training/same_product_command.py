"""`sosie models same-product`: fits the head that says how probably two pictures show the same product."""

import argparse
import re
from typing import TYPE_CHECKING

from sosie.training import fit_command
from sosie.training.console import Problems, require_torch, tell

if TYPE_CHECKING:
    from sosie.training.fitting.pair_report import PairReport

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `sosie models same-product`, but for --repository."""
    fit_command.add_catalog(parser)
    parser.add_argument(
        "--start", type=_name, default="mini", metavar="NAME", help="over the space of NAME_image (%(default)s)"
    )
    parser.add_argument("--name", type=_name, default="same_product", help="the new model's name (%(default)s)")
    fit_command.add_learning(parser, epochs=40, batch="512 pairs")


def run(arguments: argparse.Namespace) -> int:
    """Fits, judges, and writes the head where it beats the cosine. Raises TrainingError."""
    require_torch("sosie models same-product")
    from sosie.training import repository  # noqa: PLC0415  # what needs an extra is imported when it is used
    from sosie.training.fitting.features import encode_in_space  # noqa: PLC0415
    from sosie.training.fitting.pairs import split_families  # noqa: PLC0415
    from sosie.training.fitting.same_product import BATCH, fit_same_product  # noqa: PLC0415
    from sosie.training.fitting.scorers import build_scorer  # noqa: PLC0415
    from sosie.training.space_encoders import find_encoders  # noqa: PLC0415

    encoders = find_encoders(arguments.repository, f"{arguments.start}_image")
    problems = Problems()
    goods = fit_command.read_catalog(arguments.catalog, problems)
    features = encode_in_space(encoders, goods, arguments.images, report=problems.add, tell=tell)
    problems.tell()
    fitted = fit_same_product(
        encoders.space,
        features,
        split_families(goods, arguments.seed),
        name=arguments.name,
        seed=arguments.seed,
        epochs=arguments.epochs,
        batch=arguments.batch or BATCH,
        tell=tell,
    )
    _print_report(fitted.report)
    if not fitted.gained:
        print("the head tells held-out pairs no better than the cosine does: nothing is written")
        return 0
    model = build_scorer(arguments.name, fitted.head, encoders.space, seed=arguments.seed, figures=fitted.figures())
    repository.write_models(arguments.repository, [model])
    print(f"{arguments.repository / model.name}: written, for vectors of {encoders.space.name}")
    return 0


def _print_report(report: "PairReport") -> None:
    print(
        f"  judged by {report.positives:,} pairs of one product and {report.negatives:,} others of "
        f"{report.products:,} held-out products"
    )
    print(f"  {'':<26}{'head':>8}{'cosine':>8}")
    head, baseline = report.head, report.baseline
    rows = [("AUC", head.auc, baseline.auc), ("AUC, same category", head.auc_hard, baseline.auc_hard)]
    rows += [
        (f"found at {float(rate):.0%} false alarms", found, baseline.tpr_at_fpr[rate])
        for rate, found in head.tpr_at_fpr.items()
    ]
    for name, found, compared in rows:
        print(f"  {name:<26}{found:8.3f}{compared:8.3f}")
    print(f"  {'Brier score':<26}{head.brier:8.3f}")
    print(f"  {'calibration error':<26}{head.ece:8.3f}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("must be lower-case letters, digits and _, and begin with a letter")
    return text
