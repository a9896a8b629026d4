"""What a run keeps between epochs, so that it can be ended at any time and gone on with."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from sosie.training.errors import ClassifierError

CHECKPOINT = "checkpoint.pt"
VERSION = 1


@dataclass(frozen=True)
class Plan:
    """What has to be the same when a run is gone on with; `data` is a digest of the pictures and their labels."""

    backbone: str
    label_set: str
    labels: list[str]
    data: str
    seed: int
    epochs: int
    batch_size: int
    train_size: int
    learning_rate: float
    frozen: float


@dataclass
class Progress:
    """Where a run stands: `epoch` epochs are done, in `step` steps and `seconds` of all its processes.

    The training of the network began after `began` of these seconds. `state` are the learned weights, `average` their
    moving average, `best` what gave the best `best_score` on validation, at `best_epoch`; `history` has a line of
    figures an epoch.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    began: float = 0.0
    best_epoch: int = 0
    best_score: float = -1.0
    state: dict[str, torch.Tensor] = field(default_factory=dict)
    average: dict[str, torch.Tensor] = field(default_factory=dict)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    generator: torch.Tensor | None = None
    history: list[dict[str, float]] = field(default_factory=list)


def save_progress(folder: Path, plan: Plan, progress: Progress) -> None:
    """Writes the checkpoint, whole or not at all. Raises ClassifierError."""
    content = {"version": VERSION, "plan": asdict(plan), "progress": vars(progress)}
    path = folder / CHECKPOINT
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise ClassifierError(f"cannot write the checkpoint {path}: {error}; give another --run") from error


def load_progress(folder: Path, plan: Plan) -> Progress:
    """The progress of a run that was planned alike. Raises ClassifierError where there is none or it was another's."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ClassifierError(f"{folder} holds no checkpoint to go on from; leave --resume out")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, found = content["version"], content["plan"]
        progress = Progress(**content["progress"])
    except Exception as error:  # torch, pickle and zipfile have no common root for what a broken file raises
        raise ClassifierError(f"the checkpoint {path} cannot be read: {error!r:.200}; leave --resume out") from error
    if version != VERSION:
        raise ClassifierError(f"the checkpoint {path} is of another version of sosie's; leave --resume out")
    check_plan(path, found, plan)
    return progress


def check_plan(path: Path, found: Mapping[str, Any], plan: Plan) -> None:
    """Raises ClassifierError, with the first difference, where a checkpoint was made by another plan."""
    for name, value in asdict(plan).items():
        if found.get(name) != value:
            said = name.replace("_", "-")
            if name in {"labels", "data"}:
                raise ClassifierError(
                    f"the checkpoint {path} is of other {said}: leave --resume out, or give its catalog"
                )
            raise ClassifierError(
                f"the checkpoint {path} is of {said} {found.get(name)}, not {value}: leave --resume out, or give that"
            )
