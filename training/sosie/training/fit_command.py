"""`sosie models fit`: fits the bundle's heads to a catalog, and writes the new embedding space beside the old one.

1. Read the catalog; run both frozen towers over its pictures and sentences.
2. Set aside families of products: some to watch while fitting, some to judge by afterwards.
3. Fit heads that bring pictures and sentences together: the part `meaning`.
4. Choose the weight of `meaning`, write the space with its figures; or say that nothing was gained, and write nothing.
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sosie.training.fitting.meaning import Outcome

SHOWN_PROBLEMS = 20

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `sosie models fit`, but for --repository and --weights."""
    parser.add_argument("--catalog", type=Path, required=True, metavar="FILE", help="the catalog, a product a line")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder of its pictures")
    parser.add_argument("--bundle", choices=["mini"], default="mini", help="which bundle to fit (%(default)s)")
    parser.add_argument("--name", type=_name, default="fitted", help="begins the new models' names (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides what is held out and how fitting starts (0)")
    parser.add_argument("--epochs", type=_epochs, default=60, metavar="N", help="at most this many, 1..1000 (60)")


def run(arguments: argparse.Namespace) -> int:
    """Fits, and writes what was gained. Raises TrainingError."""
    from sosie.training import mini, repository  # noqa: PLC0415  # what needs an extra is imported when it is used
    from sosie.training.fitting.features import encode_catalog  # noqa: PLC0415
    from sosie.training.goods import choose_goods, read_goods  # noqa: PLC0415

    try:
        from sosie.training.fitting.meaning import assemble, fit  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"sosie models fit: needs {error.name}; pip install torch==2.13.0, then 'sosie[training]'"
        ) from error

    names = {entry.name for entry in repository.read_entries(arguments.repository)}
    if mini.IMAGE not in names:
        raise SystemExit(
            f"sosie models fit: {arguments.repository} holds no bundle mini; first: sosie models build mini"
        )
    problems = _Problems()
    print(f"{arguments.bundle}: reading the catalog", flush=True)
    read = read_goods(arguments.catalog, problems.add)
    goods = choose_goods(read)
    if len(goods) < len(read):
        _tell(f"{len(goods):,} of its {len(read):,} products are used")
    sources = mini.read_sources(arguments.weights, _tell)
    catalog = encode_catalog(sources, goods, arguments.images, report=problems.add, tell=_tell)
    problems.tell()
    outcome = fit(sources, catalog, seed=arguments.seed, epochs=arguments.epochs, tell=_tell)
    _print_outcome(outcome)
    if not outcome.gained:
        print("nothing was gained for sentences on the held-out products: the old embedding space stays")
        return 0
    bundle = assemble(sources, outcome, (f"{arguments.name}_image", f"{arguments.name}_text"))
    for model in bundle.models:
        repository.write_models(arguments.repository, [model])
        print(f"{arguments.repository / model.name}: written")
    print(f"embedding space {bundle.space.name}; serve it and index the catalog again to use it")
    return 0


@dataclass
class _Problems:
    """What is wrong with a catalog: the first are shown, all are counted."""

    count: int = 0

    def add(self, problem: str) -> None:
        self.count += 1
        if self.count <= SHOWN_PROBLEMS:
            print(f"  left out, {problem}", flush=True)

    def tell(self) -> None:
        if self.count > SHOWN_PROBLEMS:
            print(f"  left out, {self.count - SHOWN_PROBLEMS:,} more lines and pictures")


def _print_outcome(outcome: "Outcome") -> None:
    for name, value in outcome.figures.items():
        print(f"  {name.replace('_', ' '):<44}{value:8.3f}")


def _tell(message: str) -> None:
    print(f"  {message}", flush=True)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or text == "mini":
        raise argparse.ArgumentTypeError("must be lower-case letters, digits and _, begin with a letter, not be mini")
    return text


def _epochs(text: str) -> int:
    most = 1000
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}")
    return int(text)
