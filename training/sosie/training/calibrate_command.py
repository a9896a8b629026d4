"""`sosie models calibrate`: measures on a catalog what makes scores mean the same for every question."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.training.console import Problems, tell

if TYPE_CHECKING:
    from sosie.training.goods import Goods
    from sosie.training.scoring.calibrating import Calibrated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `sosie models calibrate`, but for --repository."""
    parser.add_argument("catalog", type=Path, metavar="CATALOG", help="the catalog, a product a line")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder of its pictures")
    parser.add_argument("--space", metavar="NAME", help="the embedding space, where the repository has several")
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="use only the products that `sosie models fit` held out of this catalog: for a space fitted to it",
    )
    parser.add_argument("--seed", type=int, default=0, help="decides which products judge; that of the fitting (0)")
    parser.add_argument(
        "--check", action="store_true", help="judge the scores as they are by all of this catalog, and write nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measures, judges and writes. Raises TrainingError."""
    import numpy as np  # noqa: PLC0415  # what needs an extra is imported when it is used

    from sosie.training.evaluation.towers import open_towers  # noqa: PLC0415
    from sosie.training.fit_command import read_catalog  # noqa: PLC0415
    from sosie.training.fitting.judging import split  # noqa: PLC0415
    from sosie.training.scoring import calibrating  # noqa: PLC0415

    problems = Problems()
    goods = read_catalog(arguments.catalog, problems)
    towers = open_towers(arguments.repository, arguments.space)
    catalog = calibrating.encode(towers, goods, arguments.images, seed=arguments.seed, report=problems.add, tell=tell)
    problems.tell()
    if arguments.held_out:
        _, _, held = split([product.family for product in catalog.goods], arguments.seed)
        catalog = catalog.select(np.sort(held))
        tell(f"{len(held):,} products were held out")
    work = calibrating.check if arguments.check else calibrating.calibrate
    calibrated = work(catalog, seed=arguments.seed)
    show(calibrated)
    if not calibrated.measured:
        return 0
    for name in calibrating.write_calibration(towers.encoders, calibrated):
        print(f"{arguments.repository / name}: written")
    print("start Triton anew to serve these scores; nothing has to be indexed again")
    return 0


def calibrate_fitted(
    repository: Path, space: str, goods: "Sequence[Goods]", images: Path, *, seed: int, problems: Problems
) -> None:
    """Calibrates a space that was fitted, by products that it has not learned from. Raises TrainingError."""
    from sosie.training.evaluation.towers import open_towers  # noqa: PLC0415  # as above
    from sosie.training.scoring import calibrating  # noqa: PLC0415

    if len(goods) < calibrating.FEWEST:
        tell(f"scores stay calibrated as they were: only {len(goods)} products were held out")
        return
    tell(f"calibrating scores by {len(goods):,} held-out products")
    towers = open_towers(repository, space)
    catalog = calibrating.encode(towers, goods, images, seed=seed, report=problems.add, tell=tell)
    calibrated = calibrating.calibrate(catalog, seed=seed)
    show(calibrated)
    calibrating.write_calibration(towers.encoders, calibrated)


def show(calibrated: "Calibrated") -> None:
    """Prints how reliable scores are beside plain similarities."""
    from sosie.training.scoring.measuring import CUTS  # noqa: PLC0415  # as above

    for line in calibrated.told:
        tell(line)
    if not calibrated.judged:
        return
    tell("judged by as many pairs that fit as others, by similarities and by scores:")
    columns = ("calibration error", "Brier score", *(f"wrong from {cut:g} on" for cut in CUTS))
    print("  " + " " * 24 + "".join(f"{column:>20}" for column in columns))
    for kind, judged in calibrated.judged.items():
        for one in judged:
            before, after = one.before, one.after
            pairs = [
                (before.error, after.error),
                (before.brier, after.brier),
                *zip(before.wrong, after.wrong, strict=True),
            ]
            print(f"  {kind:<12}{one.weighting:<12}" + "".join(f"{old:12.3f} {new:7.3f}" for old, new in pairs))
