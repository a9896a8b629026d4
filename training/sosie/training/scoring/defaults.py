"""What the bundle mini's scores are calibrated by before a shop calibrates them on its own catalog.

`mini_calibration.json` was measured on photographs, by the command that docs/ranking.md gives. `python -m
sosie.training.scoring.defaults REPOSITORY` writes it anew from a repository whose bundle mini was calibrated so.
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

from sosie.engine.calibration import KINDS, Calibration, Kind
from sosie.training.repository import read_entries

NAME = "mini_calibration.json"
MODEL = "mini_image"


def read_defaults() -> dict[Kind, Calibration]:
    """By kind of question."""
    raw = json.loads(files("sosie.training").joinpath(NAME).read_text(encoding="utf-8"))
    return {kind: Calibration.from_json(raw[kind]) for kind in KINDS}


def write_defaults(repository: Path, out: Path) -> None:
    """Takes them from the bundle mini of a repository. Raises RepositoryError."""
    (space,) = (entry.space for entry in read_entries(repository) if entry.name == MODEL and entry.space)
    figures = {kind: measured.to_json() for kind, measured in space.calibration.items()}
    out.write_text(json.dumps(figures) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_defaults(Path(sys.argv[1]), Path(__file__).parents[1] / NAME)
