"""`sosie models build clip`: the towers of any open_clip model."""

import argparse
import re
from pathlib import Path

from sosie.training.console import require_torch, tell
from sosie.training.precision import add_precision, read_calibration

HELP = "image and text towers of any open_clip model (CLIP, MobileCLIP, SigLIP); needs the extra `training`"

DEFAULT_MODEL = "ViT-B-32"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which model, which weights, and in what precision."""
    parser.add_argument("--model", metavar="NAME", help=f"open_clip's name, or hf-hub:OWNER/NAME ({DEFAULT_MODEL})")
    parser.add_argument(
        "--model-folder", type=Path, metavar="DIR", help="take open_clip_config.json, weights and tokenizer from here"
    )
    parser.add_argument("--pretrained", metavar="TAG", help="fetch these weights from the hub, e.g. laion2b_s34b_b79k")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--weights", type=Path, metavar="FILE", help="take the weights from here: .safetensors or .pt")
    weights.add_argument("--random", action="store_true", help="random weights, to try out structure and speed")
    add_precision(parser, "fp16", "int8")
    parser.add_argument(
        "--name",
        type=_folder_name,
        default="clip",
        metavar="PREFIX",
        help="the folders are PREFIX_image and PREFIX_text (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Builds, verifies and writes the bundle. Raises TrainingError."""
    require_torch("sosie models build clip")
    from sosie.training import repository  # noqa: PLC0415  # what needs the extra is imported when it is used
    from sosie.training.clip import bundle, integers, loading, sources  # noqa: PLC0415

    named = arguments.model or (None if arguments.model_folder else DEFAULT_MODEL)
    wanted = sources.Wanted(
        named, arguments.model_folder, arguments.pretrained, arguments.weights, random=arguments.random
    )
    print(f"clip: reading {arguments.model_folder or named}", flush=True)
    loaded = loading.load(sources.find_origin(wanted, tell))
    half, integer = arguments.precision == "fp16", arguments.precision == "int8"
    calibration = read_calibration(arguments.calibration, loaded.image_input, tell) if integer else None
    towers = bundle.export_towers(loaded, half=half, tell=tell)
    figures: dict[str, float] = {}
    if calibration:
        towers, figures = integers.quantise_towers(towers, calibration, force=arguments.force_precision, tell=tell)
    made = bundle.assemble(towers, prefix=arguments.name, figures=figures)
    written = repository.write_models(arguments.repository, made.models, force=arguments.force)
    for model in made.models:
        print(f"{arguments.repository / model.name}: {'written' if model.name in written else 'unchanged'}")
    print(f"embedding space {made.space.name}")
    return 0


def _folder_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name for folders: letters, digits, - and _, a letter first")
    return text
