"""Calibrates a space on a catalog, and writes the result into the configs of the space's models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sosie.engine.calibration import KINDS, Calibration, Kind
from sosie.engine.space import EmbeddingSpace, Parts
from sosie.engine.text import MAX_SENTENCE
from sosie.training.errors import RepositoryError
from sosie.training.evaluation.encoding import EncodedCatalog, encode_catalog
from sosie.training.evaluation.towers import Towers, open_towers
from sosie.training.goods import Goods
from sosie.training.repository import Model, write_models
from sosie.training.scoring.measuring import Judged, judge, measure, weightings
from sosie.training.scoring.pairs import draw_pairs
from sosie.training.space_encoders import SpaceEncoders
from sosie.training.triton_config import derive_config

FEWEST = 20
"""Questions of a kind under which nothing is measured or judged."""
JUDGED_SHARE = 1 / 3
"""Of the families, those that judge what was measured on the others."""


@dataclass(frozen=True)
class Calibrated:
    """What was measured, and how it was judged, by kind of question; `told` says why a kind is missing."""

    encoders: SpaceEncoders
    measured: Mapping[Kind, Calibration]
    judged: Mapping[Kind, Sequence[Judged]]
    told: tuple[str, ...]

    @property
    def space(self) -> EmbeddingSpace:
        """The space with what was measured; kinds that were not keep what they had."""
        space = self.encoders.space
        return replace(space, calibration={**space.calibration, **self.measured})


def calibrate(
    repository: Path,
    space: str | None,
    goods: Sequence[Goods],
    images: Path,
    *,
    seed: int,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> Calibrated:
    """Measures on two thirds of the products' families, and judges by the others.

    `space` is None for the only one of the repository. Raises RepositoryError and EvaluationError as the evaluation's
    `open_towers` and `encode_catalog` do.
    """
    towers = _open(repository, space, tell)
    families = [f"{product.shop}/{product.family}" for product in goods]
    drawn = np.random.default_rng(seed).permutation(np.unique(np.array(families)))
    judging = set(drawn[: round(len(drawn) * JUDGED_SHARE)].tolist())
    encoded = []
    for judges in (False, True):
        chosen = [one for one, family in zip(goods, families, strict=True) if (family in judging) == judges]
        encoded.append(_encode(towers, chosen, images, report, tell))
    measured: dict[Kind, Calibration] = {}
    judged: dict[Kind, Sequence[Judged]] = {}
    told = []
    for kind in KINDS:
        ours, theirs = (draw_pairs(catalog, said, kind, seed=seed) for catalog, said in encoded)
        if ours is None or theirs is None or min(ours.questions, theirs.questions) < FEWEST:
            told.append(f"{kind}: {_say_few(encoded[0][0], kind)}, nothing was measured")
            continue
        measured[kind] = measure(ours)
        judged[kind] = tuple(judge(theirs, measured[kind], weightings(theirs.defaults)))
    return Calibrated(towers.encoders, measured, judged, tuple(told))


def check(
    repository: Path,
    space: str | None,
    goods: Sequence[Goods],
    images: Path,
    *,
    seed: int,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> Calibrated:
    """Judges what the space has, measured on another catalog, by all products of this one. Raises as `calibrate`."""
    towers = _open(repository, space, tell)
    if not towers.space.calibration:
        return Calibrated(
            towers.encoders, {}, {}, (f"{towers.space.name} is not calibrated: its scores are similarities",)
        )
    catalog, descriptions = _encode(towers, goods, images, report, tell)
    judged: dict[Kind, Sequence[Judged]] = {}
    told = []
    for kind, calibration in towers.space.calibration.items():
        pairs = draw_pairs(catalog, descriptions, kind, seed=seed)
        if pairs is None or pairs.questions < FEWEST:
            told.append(f"{kind}: {_say_few(catalog, kind)}, nothing was judged")
        else:
            judged[kind] = tuple(judge(pairs, calibration, weightings(pairs.defaults)))
    return Calibrated(towers.encoders, {}, judged, tuple(told))


def write_calibration(calibrated: Calibrated) -> list[str]:
    """Writes the space's description into both models' configs; gives the folders that changed.

    The space keeps its name: vectors are what they were. Raises RepositoryError.
    """
    encoders, description = calibrated.encoders, calibrated.space.to_json()
    models = [_describe(encoders.repository, name, description) for name in (encoders.image, encoders.text)]
    return write_models(encoders.repository, models)


def _open(repository: Path, space: str | None, tell: Callable[[str], None]) -> Towers:
    towers = open_towers(repository, space)
    tell(f"embedding space {towers.space.name}")
    return towers


def _encode(
    towers: Towers, goods: Sequence[Goods], images: Path, report: Callable[[str], None], tell: Callable[[str], None]
) -> tuple[EncodedCatalog, Parts]:
    """A catalog, and what is said of its products without their titles."""
    catalog = encode_catalog(towers, goods, images, report=report, tell=tell)
    descriptions = [product.sentences()[-1][:MAX_SENTENCE] for product in catalog.goods]
    return catalog, towers.encode_sentences(descriptions)


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


def _say_few(catalog: EncodedCatalog, kind: Kind) -> str:
    several = int((np.bincount(catalog.owners) > 1).sum())
    return f"only {several} products have two pictures" if kind != "text" else f"only {len(catalog.goods)} products"
