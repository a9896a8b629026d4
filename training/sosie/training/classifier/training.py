"""Trains a classifier of a catalog's pictures, from the catalog to the model folder.

1. Decode the pictures once.
2. Encode those to learn from by the frozen backbone; fit a linear head to them.
3. Train the whole network from there, watched on the validation split.
4. Calibrate what validation liked best, judge it on the test split, export it.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sosie.engine.inference import Pictures
from sosie.training.classifier.augmentation import Augmentation
from sosie.training.classifier.backbones import Backbone, Classifier
from sosie.training.classifier.batches import Learned
from sosie.training.classifier.cache import cache_pictures
from sosie.training.classifier.dataset import Dataset, Places, check_splits, weigh_classes
from sosie.training.classifier.export import make_model
from sosie.training.classifier.finetuning import Settings, train_network
from sosie.training.classifier.head import fit_head
from sosie.training.classifier.metrics import f1_scores, fit_temperature
from sosie.training.classifier.progress import Plan, Progress, load_progress, save_progress
from sosie.training.classifier.running import encode, explain_memory, predict
from sosie.training.errors import ClassifierError
from sosie.training.evaluation.classification import describe_classes, judge_classifier
from sosie.training.heads import Floats
from sosie.training.repository import Model
from sosie.training.splits import SPLITS, Split
from sosie.training.vectors import softmax

FIGURES = "figures.json"
EXPORT_SECONDS = 30.0
"""Kept of a bound on the time for writing the model."""
VERIFIED = 16
"""Pictures by which the exported graph is compared with the network."""


@dataclass(frozen=True)
class Options:
    """What the command was asked for; `minutes` bounds the whole run, None does not."""

    seed: int
    head_only: bool
    epochs: int
    batch_size: int
    train_size: int
    learning_rate: float
    frozen: float
    smoothing: float
    dropout: float
    patience: int
    minutes: float | None
    resume: bool


@dataclass(frozen=True)
class Trained:
    """The model's folder and the figures of the run."""

    model: Model
    figures: dict[str, Any]


def train_classifier(
    dataset: Dataset,
    images: Path,
    backbone: Backbone,
    options: Options,
    *,
    folder: Path,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> Trained:
    """Trains, and writes what it keeps into `folder`. Raises TrainingError."""
    started, processor = time.monotonic(), time.process_time()
    if backbone.fixed and options.train_size != backbone.image_input.size:
        raise ClassifierError(f"{backbone.name} takes {backbone.image_input.size} pixels only; leave --train-size out")
    pictures, dataset = open_pictures(dataset, images, backbone, folder=folder, report=report, tell=tell)
    plan = make_plan(dataset, backbone, options)
    progress = load_progress(folder, plan) if options.resume else Progress()
    device = prepare_device(options.seed)
    model = Classifier(backbone, len(dataset.labels), dropout=options.dropout)
    model = model.to(device, memory_format=torch.channels_last)

    def clock() -> float:
        return earlier + time.monotonic() - started

    earlier = progress.seconds
    if progress.best:
        model.load_state_dict(progress.best)
        tell(f"going on after epoch {progress.epoch}, {progress.seconds / 60:.1f} minutes into the run")
    else:
        with explain_memory(options.batch_size):
            _fit_head(model, pictures, dataset, progress=progress, options=options, tell=tell)
        progress.seconds = clock()
        save_progress(folder, plan, progress)
    if not options.head_only:
        encoding = progress.began or progress.seconds  # of train and validation
        judging = len(dataset.places("test")) / len(pictures) * encoding
        bound = None if options.minutes is None else 60 * options.minutes - EXPORT_SECONDS - judging
        settings = Settings(options.smoothing, options.patience, bound, Augmentation())
        truth = dataset.truth[dataset.places("train")]
        data = Learned(
            pictures,
            dataset.truth,
            dataset.places("train"),
            dataset.places("validation"),
            weigh_classes(truth, len(dataset.labels)),
        )
        train_network(model, data, plan, progress, settings, folder=folder, clock=clock, tell=tell)
    model.load_state_dict(progress.best)
    trained = _finish(model, backbone, dataset, pictures, progress=progress, tell=tell)
    trained.figures["run"] = {
        "backbone": backbone.name,
        "options": {name: value for name, value in vars(options).items() if name != "resume"},
        "minutes": round(clock() / 60, 2),
        "processor_minutes": round((time.process_time() - processor) / 60, 2),
        "resumed": options.resume,
    }
    write_figures(folder / FIGURES, trained.figures)
    return trained


def open_pictures(
    dataset: Dataset,
    images: Path,
    backbone: Backbone,
    *,
    folder: Path,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> tuple[Pictures, Dataset]:
    """The pictures as the backbone sees them, and the dataset without those that cannot be read."""
    pictures, places = cache_pictures(folder, images, dataset.paths, backbone.image_input, report=report, tell=tell)
    readable = dataset.select(places)
    check_splits(readable)
    return pictures, readable


def make_plan(dataset: Dataset, backbone: Backbone, options: Options) -> Plan:
    """What has to be the same when the run is gone on with."""
    rows = [*zip(dataset.paths, dataset.truth.tolist(), dataset.splits, strict=True)]
    return Plan(
        backbone=backbone.name,
        label_set=dataset.label_set,
        labels=list(dataset.labels),
        data=hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        seed=options.seed,
        epochs=options.epochs,
        batch_size=options.batch_size,
        train_size=options.train_size,
        learning_rate=options.learning_rate,
        frozen=options.frozen,
    )


def prepare_device(seed: int) -> torch.device:
    """The GPU where there is one, else the processor; torch's numbers are drawn from `seed`."""
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)  # numbers below 1e-38 cost a processor a hundred times as much, and mean nothing
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """Writes figures as JSON, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)


def _fit_head(
    model: Classifier,
    pictures: Pictures,
    dataset: Dataset,
    *,
    progress: Progress,
    options: Options,
    tell: Callable[[str], None],
) -> None:
    train, seen = dataset.places("train"), dataset.places("validation")
    tell(f"encoding {len(train) + len(seen):,} pictures by the frozen backbone")
    features, watched = encode(model, pictures, train, tell), encode(model, pictures, seen, tell)
    truth = dataset.truth[train]
    weights = weigh_classes(truth, len(dataset.labels))
    head, penalty = fit_head(
        features, truth, weights, seen=watched, seen_truth=dataset.truth[seen], smoothing=options.smoothing
    )
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(head.matrix))
        model.head.bias.copy_(torch.from_numpy(head.bias))
    macro, weighted = f1_scores(head.apply(watched).argmax(1), dataset.truth[seen], len(dataset.labels))
    tell(f"head: validation F1 weighted {weighted:.4f}, macro {macro:.4f} (penalty {penalty:g})")
    progress.best = {name: value.detach().clone() for name, value in model.state_dict().items()}
    progress.best_score = weighted
    progress.history.append({"epoch": 0, "f1_macro": macro, "f1_weighted": weighted})


def _finish(
    model: Classifier,
    backbone: Backbone,
    dataset: Dataset,
    pictures: Pictures,
    *,
    progress: Progress,
    tell: Callable[[str], None],
) -> Trained:
    seen = dataset.places("validation")
    tell(f"calibrating and judging the weights of epoch {progress.best_epoch}")
    logits = predict(model, pictures, seen)
    temperature = fit_temperature(logits, dataset.truth[seen])
    held = predict(model, pictures, dataset.places("test"))
    examples = pictures[dataset.places("test")[:VERIFIED]]
    made, cosine = make_model(
        model,
        backbone,
        label_set=dataset.label_set,
        labels=dataset.labels,
        temperature=temperature,
        examples=np.ascontiguousarray(examples),
    )
    figures = {
        "label_set": dataset.label_set,
        "labels": list(dataset.labels),
        "left_out": dict(dataset.left_out),
        "pictures": {split: len(dataset.places(split)) for split in SPLITS},
        "best_epoch": progress.best_epoch,
        "temperature": temperature,
        "least_cosine_to_torch": cosine,
        "history": progress.history,
        "validation": judge(logits / temperature, dataset, "validation"),
        "test": judge(held / temperature, dataset, "test"),
        "test_uncalibrated_ece": judge(held, dataset, "test")["ece"]["value"],
    }
    return Trained(made, figures)


def judge(logits: Floats, dataset: Dataset, split: Split) -> dict[str, Any]:
    """The figures of logits [n, labels] of a split's pictures: with 95% intervals, by class, and the confusion."""
    places = dataset.places(split)
    _, groups = np.unique([dataset.groups[place] for place in places], return_inverse=True)
    found: Places = dataset.truth[places]
    confusion, estimates = judge_classifier(softmax(logits), found, groups.astype(np.int64), dataset.labels)
    return {
        **{name: {"value": one.value, "low": one.low, "high": one.high} for name, one in estimates.items()},
        "classes": [vars(figures) for figures in describe_classes(confusion, dataset.labels)],
        "confusion": confusion.tolist(),
    }
