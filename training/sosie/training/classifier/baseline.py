"""The classical table: descriptors x methods, each chosen by cross-validation, judged on the same splits.

A method's settings are chosen on train by cross-validation that keeps a product's pictures together; then it is fitted
to train and judged on validation and test. Nothing of it is served: it says what a trained network has to beat.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # first: lightgbm's wheel needs a libgomp, and torch brings one
from lightgbm import LGBMClassifier
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sosie.engine.inference import Pictures
from sosie.training.classifier.backbones import Backbone, Classifier
from sosie.training.classifier.dataset import Dataset
from sosie.training.classifier.descriptors import describe_gradients, describe_words
from sosie.training.classifier.metrics import f1_scores
from sosie.training.classifier.running import encode
from sosie.training.classifier.training import open_pictures, prepare_device, write_figures
from sosie.training.heads import Floats

TABLE = "baseline.json"
FOLDS = 3
COMPONENTS = 256
"""Principal components that trees and support vectors see of longer descriptors: a tenth of the time, no worse."""
_BALANCED = {"class_weight": "balanced"}


@dataclass(frozen=True)
class Row:
    """One method on one descriptor: the settings chosen, weighted F1 by cross-validation and on held-out splits."""

    descriptor: str
    method: str
    settings: Mapping[str, Any]
    cross_validation: float
    validation: float
    test: float
    test_macro: float
    seconds: float


@dataclass(frozen=True)
class _Method:
    estimator: Any
    grid: Mapping[str, Sequence[Any]]
    reduced: bool


def compare_methods(
    dataset: Dataset,
    images: Path,
    backbone: Backbone,
    *,
    seed: int,
    folder: Path,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> list[Row]:
    """Fits and judges all methods on all descriptors; also written to TABLE in `folder`. Raises TrainingError."""
    pictures, dataset = open_pictures(dataset, images, backbone, folder=folder, report=report, tell=tell)
    rows = [_judge(dataset, "none", "most frequent", _Method(DummyClassifier(), {}, reduced=False), _nothing(dataset))]
    for descriptor, values in _describe(pictures, dataset, backbone, seed, tell):
        for name, method in make_methods(seed).items():
            rows.append(_judge(dataset, descriptor, name, method, values))
            last = rows[-1]
            tell(f"{descriptor}, {name}: test F1 weighted {last.test:.3f} in {last.seconds:.0f} s")
            write_figures(folder / TABLE, {"backbone": backbone.name, "rows": [asdict(row) for row in rows]})
    return rows


def make_methods(seed: int) -> dict[str, _Method]:
    """Each method with the settings that are tried."""
    draws = {"random_state": seed}
    forest = RandomForestClassifier(300, min_samples_leaf=2, n_jobs=-1, **_BALANCED, **draws)
    boosted = LGBMClassifier(
        n_estimators=100, learning_rate=0.1, subsample=0.8, subsample_freq=1, verbose=-1, **_BALANCED, **draws
    )
    return {
        "SVM": _Method(SVC(**_BALANCED, **draws), {"C": [1.0, 10.0]}, reduced=True),
        "SGD": _Method(SGDClassifier(**_BALANCED, **draws), {"alpha": [1e-3, 1e-2, 1e-1]}, reduced=False),
        "logistic regression": _Method(
            LogisticRegression(max_iter=300, **_BALANCED), {"C": [1e-3, 1e-2, 1e-1]}, reduced=False
        ),
        "decision tree": _Method(
            DecisionTreeClassifier(**_BALANCED, **draws), {"min_samples_leaf": [2, 8, 32]}, reduced=True
        ),
        "random forest": _Method(forest, {"max_features": ["sqrt", 0.2]}, reduced=True),
        "gradient boosting": _Method(boosted, {"num_leaves": [7, 15]}, reduced=True),
    }


def render_table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown, the best on test first."""
    lines = [
        "| descriptor | method | settings | F1 weighted, cross-validated | validation | test | macro, test | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row.test):
        settings = ", ".join(f"{name} {value}" for name, value in row.settings.items()) or "-"
        figures = f"{row.cross_validation:.3f} | {row.validation:.3f} | {row.test:.3f} | {row.test_macro:.3f}"
        lines.append(f"| {row.descriptor} | {row.method} | {settings} | {figures} | {row.seconds:.0f} |")
    return "\n".join(lines)


def _describe(
    pictures: Pictures, dataset: Dataset, backbone: Backbone, seed: int, tell: Callable[[str], None]
) -> list[tuple[str, Floats]]:
    device = prepare_device(seed)
    model = Classifier(backbone, len(dataset.labels)).to(device, memory_format=torch.channels_last)
    tell(f"encoding {len(pictures):,} pictures by the frozen backbone")
    return [
        (f"{backbone.name} features", encode(model, pictures, np.arange(len(pictures)), tell)),
        ("HOG", describe_gradients(pictures, tell)),
        ("SIFT words", describe_words(pictures, dataset.places("train"), seed=seed, tell=tell)),
    ]


def _judge(dataset: Dataset, descriptor: str, name: str, method: _Method, values: Floats) -> Row:
    started = time.monotonic()
    train = dataset.places("train")
    truth = dataset.truth[train]
    steps: list[Any] = [StandardScaler()]
    if method.reduced and values.shape[1] > COMPONENTS:
        steps.append(PCA(min(COMPONENTS, len(train) // 2), random_state=0))
    pipeline = make_pipeline(*steps, method.estimator)
    step = list(pipeline.named_steps)[-1]
    folds = min(FOLDS, int(np.bincount(truth).min()))
    search = GridSearchCV(
        pipeline,
        {f"{step}__{setting}": list(choices) for setting, choices in method.grid.items()},
        scoring="f1_weighted",
        cv=StratifiedGroupKFold(max(folds, 2), shuffle=True, random_state=0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a setting that does not converge loses by its figures
        # A label with fewer products than folds is missing in one; LightGBM misses names that it made up itself.
        warnings.simplefilter("ignore", UserWarning)
        search.fit(values[train], truth, groups=np.array(dataset.groups)[train])
        held = {split: search.predict(values[dataset.places(split)]) for split in ("validation", "test")}
    labels = len(dataset.labels)
    _, validation = f1_scores(held["validation"], dataset.truth[dataset.places("validation")], labels)
    macro, test = f1_scores(held["test"], dataset.truth[dataset.places("test")], labels)
    return Row(
        descriptor=descriptor,
        method=name,
        settings={setting.partition("__")[2]: value for setting, value in search.best_params_.items()},
        cross_validation=float(search.best_score_),
        validation=validation,
        test=test,
        test_macro=macro,
        seconds=round(time.monotonic() - started, 1),
    )


def _nothing(dataset: Dataset) -> Floats:
    return np.zeros((len(dataset.paths), 1), np.float32)
