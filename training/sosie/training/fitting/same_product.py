"""Fits the same-product head: which pairs of pictures show one product; in torch.

It learns from the pairs of the train split, stops by the validation split, is calibrated there (Platt 1999) and judged
on the test split. Its first stage weighs the parts' cosines by logistic regression; the second adds the perceptron,
whose outer layer starts at zero, and is kept only as far as it helps the pairs of the validation split.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from sosie.engine.space import EmbeddingSpace
from sosie.training.fitting.features import SpaceFeatures
from sosie.training.fitting.judging import Places, check_families
from sosie.training.fitting.pair_report import PairReport, Truth, is_better, measure_auc
from sosie.training.fitting.pairs import (
    NEAREST,
    PairSet,
    draw_pairs,
    image_weights,
    make_report,
    score_cosine,
    select_split,
    weigh,
)
from sosie.training.fitting.running import seeded_torch
from sosie.training.fitting.scorers import PairHead
from sosie.training.heads import Floats
from sosie.training.logistic import regress
from sosie.training.splits import SPLITS, Split

HIDDEN = 32
DROPOUT = 0.5
WEIGHT_DECAY = 0.05
LEARNING_RATE = 2e-3
PATIENCE = 8
BATCH = 512
"""Pairs of a batch."""
RIDGE = 1e-3
"""Keeps the logistic regression's weights finite where cosines separate the pairs."""


@dataclass(frozen=True)
class Fitted:
    """A calibrated head with its figures on held-out products; `gained` says whether its AUC beats the cosine's."""

    head: PairHead
    report: PairReport
    gained: bool

    def figures(self) -> dict[str, float]:
        """What the model's config tells of the head."""
        head, baseline = self.report.head, self.report.baseline
        figures = {"pairs_judged_by": self.report.positives + self.report.negatives, "auc": head.auc}
        return {**figures, "auc_of_cosine": baseline.auc, "auc_hard": head.auc_hard, "brier": head.brier or 0.0}


@dataclass(frozen=True)
class _Side:
    """One split: parts of pictures, default-weighted vectors, pairs, and the number of each pair's family."""

    parts: Mapping[str, Floats]
    vectors: Floats
    pairs: PairSet
    families: Places
    products: int

    def logits(self, head: PairHead) -> Floats:
        return head.logits(*self.take())

    def take(self) -> tuple[dict[str, Floats], dict[str, Floats]]:
        left = {name: values[self.pairs.left] for name, values in self.parts.items()}
        return left, {name: values[self.pairs.right] for name, values in self.parts.items()}


def fit_same_product(
    space: EmbeddingSpace,
    features: SpaceFeatures,
    splits: Mapping[str, Split],
    *,
    name: str,
    seed: int,
    epochs: int,
    batch: int,
    tell: Callable[[str], None],
) -> Fitted:
    """Fits, calibrates and judges a head; `splits` are by family.

    Raises FitError where the catalog gives too few pairs, or memory runs out.
    """
    check_families([product.family for product in features.goods])
    taught, watched, judged = (_prepare(space, features, splits, split, seed=seed) for split in SPLITS)
    tell(
        f"{len(taught.pairs.same):,} pairs of {taught.products:,} products to learn from, of which "
        f"{int(taught.pairs.same.sum()):,} show one product; {len(judged.pairs.same):,} to judge by"
    )
    head = _start(space, taught)
    tell(f"cosines alone: AUC {measure_auc(watched.logits(head), watched.pairs.same):.3f} on the watched products")
    with seeded_torch(seed, batch):
        head = _learn(head, taught, watched, seed=seed, epochs=epochs, batch=batch, tell=tell)
    slope, offset = calibrate(watched.logits(head), watched.pairs.same)
    head = replace(head, slope=slope, offset=offset)
    left, right = judged.take()
    probabilities = head.score(left, right)
    report = make_report(
        name, space.name, probabilities, vectors=judged.vectors, pairs=judged.pairs, products=judged.products
    )
    cosines = score_cosine(judged.vectors, judged.pairs)
    gained = is_better(probabilities, cosines, judged.pairs.same, judged.families, seed=seed)
    return Fitted(head, report, gained)


def calibrate(logits: Floats, same: Truth) -> tuple[float, float]:
    """Slope and offset that make sigmoid(slope * logit + offset) fit the truth best (Platt scaling, by Newton).

    The slope is at least a little above 0: calibration never turns an order around.
    """
    design = np.stack([logits.astype(np.float64), np.ones(len(logits))], axis=1)
    slope, offset = regress(design, same, np.array([1.0, 0.0]), 1e-6)
    return max(float(slope), 1e-3), float(offset)


def _prepare(
    space: EmbeddingSpace, features: SpaceFeatures, splits: Mapping[str, Split], split: Split, *, seed: int
) -> _Side:
    parts, owners = select_split(features, splits, split)
    vectors = weigh(image_weights(space), parts)
    nearest = NEAREST if split == "train" else 0
    pairs = draw_pairs(vectors, owners, features.goods, seed=seed, nearest=nearest)
    names = np.array([product.family for product in features.goods])[owners]
    families = np.unique(names[pairs.left], return_inverse=True)[1]
    return _Side(parts, vectors, pairs, families, len(np.unique(owners)))


def _start(space: EmbeddingSpace, side: _Side) -> PairHead:
    """The logistic regression on the cosines of the parts that a picture fills; its perceptron adds nothing."""
    sizes = {part.name: part.size for part in space.parts}
    names = tuple(part.name for part in space.parts if part.name in side.parts)
    main = max(space.parts, key=lambda part: (part.name in names) * part.image_weight).name
    left, right = side.take()
    design = np.stack([*((left[name] * right[name]).sum(1) for name in names), np.ones(len(side.pairs.same))], axis=1)
    found = regress(design.astype(np.float64), side.pairs.same, np.zeros(len(names) + 1), RIDGE)
    rng = np.random.default_rng(0)
    inner = rng.standard_normal((2 * sizes[main], HIDDEN)) / np.sqrt(2 * sizes[main])
    zeros = np.zeros(HIDDEN, np.float32)
    weights = found[:-1].astype(np.float32)
    return PairHead(names, weights, float(found[-1]), main, inner.astype(np.float32), zeros, zeros)


def _learn(
    head: PairHead,
    taught: _Side,
    watched: _Side,
    *,
    seed: int,
    epochs: int,
    batch: int,
    tell: Callable[[str], None],
) -> PairHead:
    """Trains the perceptron beside the cosines; gives the head of the epoch with the best AUC on the watched pairs."""
    rng = np.random.default_rng(seed)
    parts = {name: torch.tensor(values) for name, values in taught.parts.items() if name in head.cosine_parts}
    pairs, same = taught.pairs, torch.tensor(taught.pairs.same, dtype=torch.float32)
    learned = [
        torch.nn.Parameter(torch.tensor(values))
        for values in (head.cosine_weights, np.array([head.bias], np.float32), head.inner, head.inner_bias, head.outer)
    ]
    cosine_weights, bias, inner, inner_bias, outer = learned
    optimizer = torch.optim.AdamW(
        [
            {"params": [inner, outer], "weight_decay": WEIGHT_DECAY},
            {"params": [cosine_weights, bias, inner_bias], "weight_decay": 0.0},
        ],
        LEARNING_RATE,
    )
    scale = float(np.sqrt(head.inner.shape[0] // 2))
    best, kept, since = measure_auc(watched.logits(head), watched.pairs.same), head, 0
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(same))
        for chosen in np.array_split(order, max(1, round(len(order) / batch))):
            left = {name: values[pairs.left[chosen]] for name, values in parts.items()}
            right = {name: values[pairs.right[chosen]] for name, values in parts.items()}
            cosines = torch.stack([(left[name] * right[name]).sum(1) for name in head.cosine_parts], dim=1)
            one, other = left[head.main], right[head.main]
            compared = torch.cat([scale * (one - other).abs(), scale**2 * one * other], dim=1)
            hidden = functional.relu(functional.dropout(compared, DROPOUT) @ inner + inner_bias)
            logits = cosines @ cosine_weights + bias + hidden @ outer
            loss = functional.binary_cross_entropy_with_logits(logits, same[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        numbers = [parameter.detach().numpy().copy() for parameter in learned]
        found = replace(
            head,
            cosine_weights=numbers[0],
            bias=float(numbers[1][0]),
            inner=numbers[2],
            inner_bias=numbers[3],
            outer=numbers[4],
        )
        figure = measure_auc(watched.logits(found), watched.pairs.same)
        since += 1
        if figure > best:
            best, kept, since = figure, found, 0
        if epoch % 5 == 0:
            tell(f"epoch {epoch}: AUC {figure:.3f} on the watched products")
        if since >= PATIENCE:
            break
    return kept
