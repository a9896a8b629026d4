"""Calibrates a space on a catalog, and writes the result into the configs of the space's models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sosie.engine.calibration import KINDS, Calibration, Kind
from sosie.engine.space import EmbeddingSpace
from sosie.training.errors import RepositoryError
from sosie.training.evaluation.encoding import encode_catalog
from sosie.training.evaluation.towers import Towers
from sosie.training.goods import Goods
from sosie.training.repository import Model, write_models
from sosie.training.scoring.measuring import Judged, judge, measure, weightings
from sosie.training.scoring.pairs import AskedCatalog, draw_pairs
from sosie.training.scoring.phrases import make_phrases
from sosie.training.space_encoders import SpaceEncoders
from sosie.training.triton_config import derive_config

FEWEST = 20
"""Questions of a kind under which nothing is measured or judged."""
JUDGED_SHARE = 1 / 3
"""Of the families, those that judge what was measured on the others."""


@dataclass(frozen=True)
class Calibrated:
    """What was measured, and how it was judged, by kind of question; `told` says why a kind is missing."""

    measured: Mapping[Kind, Calibration]
    judged: Mapping[Kind, Sequence[Judged]]
    told: tuple[str, ...]

    def add_to(self, space: EmbeddingSpace) -> EmbeddingSpace:
        """The space with what was measured, under its old name; kinds that were not measured keep what they had."""
        return replace(space, calibration={**space.calibration, **self.measured})


def encode(
    towers: Towers,
    goods: Sequence[Goods],
    images: Path,
    *,
    seed: int,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> AskedCatalog:
    """Runs both encoders over a catalog. Raises RepositoryError and EvaluationError as `encode_catalog` does."""
    catalog = encode_catalog(towers, goods, images, report=report, tell=tell)
    phrases = make_phrases(catalog.goods, seed=seed)
    return AskedCatalog(**vars(catalog), phrases=phrases, phrase_parts=towers.encode_sentences([*map(str, phrases)]))


def calibrate(catalog: AskedCatalog, *, seed: int) -> Calibrated:
    """Measures on two thirds of the products' families, and judges by the others."""
    families = np.array([f"{product.shop}/{product.family}" for product in catalog.goods])
    drawn = np.random.default_rng(seed).permutation(np.unique(families))
    judging = np.isin(families, drawn[: round(len(drawn) * JUDGED_SHARE)])
    halves = [catalog.select(np.flatnonzero(chosen)) for chosen in (~judging, judging)]
    measured: dict[Kind, Calibration] = {}
    judged: dict[Kind, Sequence[Judged]] = {}
    told = []
    for kind in KINDS:
        ours, theirs = (draw_pairs(half, kind, seed=seed) for half in halves)
        if ours is None or theirs is None or min(ours.questions, theirs.questions) < FEWEST:
            told.append(f"{kind}: {_say_few(catalog, kind)}, nothing was measured")
            continue
        measured[kind] = measure(ours)
        judged[kind] = tuple(judge(theirs, measured[kind], weightings(theirs.defaults)))
    return Calibrated(measured, judged, tuple(told))


def check(catalog: AskedCatalog, *, seed: int) -> Calibrated:
    """Judges the scores that the catalog's space has by all of the catalog."""
    if not catalog.space.calibration:
        return Calibrated({}, {}, (f"{catalog.space.name} is not calibrated: its scores are similarities",))
    judged: dict[Kind, Sequence[Judged]] = {}
    told = []
    for kind, calibration in catalog.space.calibration.items():
        pairs = draw_pairs(catalog, kind, seed=seed)
        if pairs is None or pairs.questions < FEWEST:
            told.append(f"{kind}: {_say_few(catalog, kind)}, nothing was judged")
        else:
            judged[kind] = tuple(judge(pairs, calibration, weightings(pairs.defaults)))
    return Calibrated({}, judged, tuple(told))


def write_calibration(encoders: SpaceEncoders, calibrated: Calibrated) -> list[str]:
    """Writes the space's description into both models' configs; gives the folders that changed. Raises RepositoryError.

    The vectors stay what they were, so collections that were built in the space go on being served.
    """
    description = calibrated.add_to(encoders.space).to_json()
    models = [_describe(encoders.repository, name, description) for name in (encoders.image, encoders.text)]
    return write_models(encoders.repository, models)


def _describe(repository: Path, name: str, description: str) -> Model:
    """A model's folder with another description of its space."""
    folder = repository / name
    try:
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    except OSError as error:
        raise RepositoryError(f"cannot read {folder}: {error.strerror or error}") from error
    for path, data in files.items():
        if path.endswith(".pbtxt"):
            config = derive_config(data.decode(), name=name, parameters={"space": description}, answers=())
            files[path] = config.encode()
    return Model(name, files)


def _say_few(catalog: AskedCatalog, kind: Kind) -> str:
    several = int((np.bincount(catalog.owners) > 1).sum())
    return f"only {several} products have two pictures" if kind != "text" else f"only {len(catalog.goods)} products"
