"""`sosie models build resnet152`: the classifier, from the hub, from a file, or random."""

import argparse
from pathlib import Path

from sosie.training.console import require_torch, tell

HELP = "ResNet152 as a classifier, with logits and features; needs the extra `training`"

DEFAULT_TAG = "a1h_in1k"
"""Of timm's weights: Wightman et al., "ResNet strikes back" (2021)."""
IMAGENET = "imagenet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say whose weights these are and what they tell apart."""
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--weights", type=Path, metavar="FILE", help="timm's or torchvision's, .safetensors or .pth")
    weights.add_argument(
        "--pretrained", metavar="TAG", default=DEFAULT_TAG, help="timm's tag of the weights on the hub (%(default)s)"
    )
    weights.add_argument("--random", action="store_true", help="random weights, for structure and speed")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="a label a line, in the order of the output (ImageNet's classes)"
    )
    parser.add_argument(
        "--label-set",
        metavar="NAME",
        help="what the labels are called: imagenet, or the name of the file with --labels",
    )


def run(arguments: argparse.Namespace) -> int:
    """Builds, verifies and writes the model. Raises TrainingError."""
    require_torch("sosie models build resnet152")
    from sosie.training import imagenet, networks, repository, resnet152  # noqa: PLC0415  # they need the extra
    from sosie.training.errors import WeightsError  # noqa: PLC0415

    labels = _read_labels(arguments.labels) if arguments.labels else imagenet.read_classes()
    label_set = arguments.label_set or (arguments.labels.stem if arguments.labels else IMAGENET)
    repository.check_label_set(arguments.repository, resnet152.ARCHITECTURE, label_set)
    if arguments.random:
        print("resnet152: drawing random weights", flush=True)
        origin, network = "random", resnet152.create_random(len(labels))
    else:
        print("resnet152: reading the weights", flush=True)
        path = arguments.weights or networks.fetch_weights(resnet152.ARCHITECTURE, arguments.pretrained)
        origin = path.name if arguments.weights else f"{resnet152.ARCHITECTURE}.{arguments.pretrained}"
        weights = networks.read_weights(path)
        classes = resnet152.count_classes(weights, path)
        if classes != len(labels):
            where = str(arguments.labels) if arguments.labels else "ImageNet's list"
            raise WeightsError(
                f"{path} tells {classes} classes apart, {where} has {len(labels)} labels: give the names of these "
                "classes, one a line, with --labels FILE"
            )
        network = networks.create_network(resnet152.ARCHITECTURE, weights, source=path, num_classes=classes)
    model = resnet152.build(network, labels=labels, label_set=label_set, origin=origin, tell=tell)
    written = repository.write_models(arguments.repository, [model], force=arguments.force)
    print(f"{arguments.repository / model.name}: {'written' if written else 'unchanged'}")
    print(f"label set {label_set}, {len(labels)} labels")
    return 0


def _read_labels(path: Path) -> tuple[str, ...]:
    from sosie.training.errors import WeightsError  # noqa: PLC0415  # as above

    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read the labels in {path}: {error}") from error
    while lines and not lines[-1]:
        lines.pop()
    for number, label in enumerate(lines, 1):
        if not label or label in lines[: number - 1]:
            what = f"repeats {label!r}" if label else "is empty"
            raise WeightsError(f"line {number} of {path} {what}; it is to hold a label a line")
    if not lines:
        raise WeightsError(f"{path} holds no labels; it is to hold a label a line")
    return tuple(lines)
