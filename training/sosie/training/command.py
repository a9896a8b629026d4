"""`sosie models`: makes, fits and lists the models that Triton serves."""

import argparse
from pathlib import Path

from sosie.training import calibrate_command, fit_command, mini_command, resnet152_command, same_product_command
from sosie.training.clip import command as clip_command

HELP = "make the models that Triton serves, fit and calibrate them to a catalog, list them"
EXTRA = "models"

DEFAULT_REPOSITORY = Path("model_repository")

BUNDLES = {"mini": mini_command, "clip": clip_command, "resnet152": resnet152_command}
"""What `sosie models build` makes: a module each with HELP, add_arguments(parser) and run(arguments) -> exit status."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands build, fit, same-product, calibrate and list."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = commands.add_parser("build", help="make model folders from trained weights")
    bundles = build.add_subparsers(dest="bundle", required=True, metavar="BUNDLE")
    for name, bundle in BUNDLES.items():
        parser_of_bundle = bundles.add_parser(name, help=bundle.HELP)
        add_repository(parser_of_bundle)
        parser_of_bundle.add_argument(
            "--force", action="store_true", help="write the folders even where nothing has changed"
        )
        bundle.add_arguments(parser_of_bundle)
    fitting = commands.add_parser("fit", help="fit a bundle's heads to a catalog; needs the extra `training`")
    fit_command.add_arguments(fitting)
    add_repository(fitting)
    pairs = commands.add_parser("same-product", help="fit the head that says whether two pictures show one product")
    same_product_command.add_arguments(pairs)
    add_repository(pairs)
    scores = commands.add_parser("calibrate", help="measure on a catalog what makes scores mean the same")
    calibrate_command.add_arguments(scores)
    add_repository(scores)
    add_repository(commands.add_parser("list", help="show the models and embedding spaces of a repository"))


def run(arguments: argparse.Namespace) -> int:
    """Runs the chosen subcommand."""
    from sosie.training.errors import TrainingError  # noqa: PLC0415  # what needs the extra is imported when it is used

    actions = {"fit": fit_command.run, "same-product": same_product_command.run, "list": _list}
    actions |= {"calibrate": calibrate_command.run}
    actions |= {"build": BUNDLES[arguments.bundle].run} if arguments.action == "build" else {}
    try:
        return actions[arguments.action](arguments)
    except TrainingError as error:
        raise SystemExit(f"sosie models {arguments.action}: {error}") from error


def _list(arguments: argparse.Namespace) -> int:
    from sosie.training import repository  # noqa: PLC0415

    entries = list(repository.read_entries(arguments.repository))
    unbuilt = repository.find_unbuilt(arguments.repository)
    if not entries and not unbuilt:
        print(f"{arguments.repository} holds no model of sosie's; `sosie models build mini` makes some")
    for entry in entries:
        labels = f", {entry.labels} labels" if entry.labels else ""
        print(f"{entry.name:<24} {entry.role:<14} {entry.size / 1e6:6.1f} MB{labels}")
    for name in unbuilt:
        print(f"{name:<24} not built")
    for space in {entry.space.name: entry.space for entry in entries if entry.space}.values():
        served = ", ".join(entry.name for entry in entries if entry.space and entry.space.name == space.name)
        print(f"\nembedding space {space.name}, {space.size} numbers, spoken by {served}")
        print(f"  {'part':<10}{'size':>6}{'picture':>10}{'sentence':>10}")
        for part in space.parts:
            print(f"  {part.name:<10}{part.size:>6}{part.image_weight:>10g}{part.text_weight:>10g}")
        print(f"  scores calibrated for: {', '.join(space.calibration) or 'nothing, they are similarities'}")
        for name, value in space.figures.items():
            print(f"  {name} = {value:.4g}")
    return 0


def add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repository", type=Path, default=DEFAULT_REPOSITORY, metavar="DIR", help="the model repository (%(default)s)"
    )
