"""What the bundles' option `--precision` shares: pictures to calibrate and to judge with, and the judgement."""

import argparse
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sosie.engine.inference import ImageInput, Pictures
    from sosie.training.quantisation import Cosines

LEAST_PICTURES = 24
MOST_PICTURES = 144
HELD_OUT = 3
"""One picture in so many judges, the others calibrate."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class Calibration:
    """Pictures [n, size, size, 3] to find scales from, others to judge by, and a digest of the first."""

    calibrating: "Pictures"
    judging: "Pictures"
    digest: str


def add_precision(parser: argparse.ArgumentParser, *choices: str) -> None:
    """Adds --precision with fp32 and `choices`, --calibration and --force-precision."""
    parser.add_argument(
        "--precision",
        choices=("fp32", *choices),
        default="fp32",
        help="the numbers that graphs compute in (%(default)s)",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="DIR", help="pictures like those to come, for --precision int8"
    )
    parser.add_argument(
        "--force-precision", action="store_true", help="build even what is too far from what fp32 computes"
    )


def read_calibration(folder: Path | None, image_input: "ImageInput", report: Callable[[str], None]) -> Calibration:
    """Pictures of a folder and the folders in it, drawn by the digests of their paths; `report` hears of bad ones.

    Raises PrecisionError.
    """
    import numpy as np  # noqa: PLC0415  # the commands' tops stay light

    from sosie.training.errors import PrecisionError  # noqa: PLC0415
    from sosie.training.pictures import read_pictures  # noqa: PLC0415

    if folder is None or not folder.is_dir():
        what = f"{folder} is no folder" if folder else "--precision int8 needs pictures to judge by"
        raise PrecisionError(f"{what}; give a folder of at least {LEAST_PICTURES} pictures with --calibration DIR")
    paths = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES]
    paths.sort(key=lambda path: hashlib.sha256(path.encode()).digest())
    batches = list(read_pictures(folder, paths[:MOST_PICTURES], image_input, report))
    pictures = np.concatenate([batch.pictures for batch in batches]) if batches else np.zeros(0, np.uint8)
    if len(pictures) < LEAST_PICTURES:
        raise PrecisionError(
            f"{folder} holds {len(pictures)} pictures that can be used (.jpg, .png, .webp); give one with at least "
            f"{LEAST_PICTURES} to --calibration"
        )
    calibrating = np.delete(pictures, np.s_[::HELD_OUT], axis=0)
    return Calibration(calibrating, pictures[::HELD_OUT], hashlib.sha256(calibrating.tobytes()).hexdigest())


def judge(model: str, found: Mapping[str, "Cosines"], *, force: bool, tell: Callable[[str], None]) -> None:
    """Tells the cosines of a model's outputs; raises PrecisionError where one is too low and `force` is not set."""
    from sosie.training.errors import PrecisionError  # noqa: PLC0415  # as above
    from sosie.training.quantisation import LEAST_COSINE  # noqa: PLC0415

    for output, cosines in found.items():
        tell(f"{model} {output:<14} cosine to fp32: least {cosines.least:.5f}, mean {cosines.mean:.5f}")
    low = [output for output, cosines in found.items() if not cosines.least >= LEAST_COSINE]  # NaN is low too
    if low and not force:
        worst = min(found[output].least for output in low)
        raise PrecisionError(
            f"{model}: {', '.join(low)} fall below cosine {LEAST_COSINE} to fp32 (least {worst:.5f}); keep fp32, or "
            "add --force-precision"
        )
