"""Fits linear heads upon a part of a space, in torch: for pictures among each other, or for pictures and sentences.

A head starts as the part's own principal directions, which keep its cosines nearly as they are, and is drawn back to
that start while it learns (L2-SP, Li et al. 2018): a small shop must not forget what the tower knows of all others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from sosie.training.fitting.contrast import FIRST_LOG_SCALE, MAX_LOG_SCALE, SENTENCE_SHARES, Pairs
from sosie.training.fitting.judging import Places
from sosie.training.fitting.losses import PICTURE_LOSSES, contrastive
from sosie.training.fitting.running import seeded_torch
from sosie.training.fitting.sampling import Batches, Views, mine_neighbours
from sosie.training.heads import Floats, Projection
from sosie.training.vectors import unit

SIZE = 256
DROPOUT = 0.3
LEARNING_RATE = 3e-3
"""The peak of the one-cycle schedule."""
PULL = 0.005
"""How strongly a head is drawn back to its start: times the squared distance of the matrices, added to the loss."""
PATIENCE = 15
BATCH = 256
"""Pictures of a batch."""


@dataclass(frozen=True)
class Recipe:
    """How to learn: a loss of `losses`, hard negatives of each product, pictures of a batch, epochs at most."""

    loss: str
    hard_negatives: int = 0
    batch: int = BATCH
    epochs: int = 60
    seed: int = 0


@dataclass(frozen=True)
class Refined:
    """The heads, `text` where sentences were learned from, and the epoch that served the watched products best.

    Epoch 0 is the start.
    """

    image: Projection
    text: Projection | None
    epoch: int


def start_head(vectors: Floats, size: int = SIZE) -> Projection:
    """The principal directions of vectors [n, m], most spread first: a projection to `size` numbers, m at most."""
    _, _, directions = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
    kept = directions[:size]
    largest = np.abs(kept).argmax(1)
    signs = np.sign(kept[np.arange(len(kept)), largest])  # else LAPACK chooses them
    matrix = (kept * signs[:, None]).T.astype(np.float32)
    return Projection(np.zeros(vectors.shape[1], np.float32), matrix)


def apply_head(head: Projection, vectors: Floats) -> Floats:
    """Unit vectors [n, size]."""
    return unit((vectors - head.mean) @ head.matrix).astype(np.float32)


def refine_pictures(
    taught: Views, judge: Callable[[Refined], float], recipe: Recipe, tell: Callable[[str], None]
) -> Refined:
    """Fits a head by one of PICTURE_LOSSES; keeps that of the epoch for which `judge` gives most, the start among them.

    The same seed gives the same head on the same machine. Raises FitError where memory runs out.
    """
    with seeded_torch(recipe.seed, recipe.batch):
        lesson = _Lesson(start_head(taught.vectors), taught, None)
        vectors, labels = torch.tensor(taught.vectors), torch.tensor(taught.labels[taught.owners])
        loss_of = PICTURE_LOSSES[recipe.loss]

        def step(chosen: Places) -> torch.Tensor:
            return loss_of(lesson.show(vectors[chosen]), labels[chosen])

        return _learn(lesson, step, judge, recipe, tell)


def refine_meeting(
    taught: Views, pairs: Pairs, judge: Callable[[Refined], float], recipe: Recipe, tell: Callable[[str], None]
) -> Refined:
    """Fits a head for pictures and one for sentences by the contrastive loss; `pairs` are of the products of `taught`.

    Both sides start as one projection, so that what they have in common stays. Keeps, promises and raises as
    `refine_pictures`.
    """
    with seeded_torch(recipe.seed, recipe.batch):
        said = pairs.sentences.reshape(-1, pairs.sentences.shape[2])
        lesson = _Lesson(start_head(np.concatenate([taught.vectors, said])), taught, torch.tensor(FIRST_LOG_SCALE))
        vectors, sentences = torch.tensor(taught.vectors), torch.tensor(pairs.sentences)
        rng = np.random.default_rng(recipe.seed)

        def step(chosen: Places) -> torch.Tensor:
            owners, first = np.unique(taught.owners[chosen], return_index=True)  # one picture a product: no false foes
            kinds = rng.choice(len(SENTENCE_SHARES), len(owners), p=SENTENCE_SHARES)
            scale = lesson.log_scale.clamp(max=MAX_LOG_SCALE).exp()
            return contrastive(lesson.show(vectors[chosen[first]]), lesson.say(sentences[owners, kinds]), scale)

        return _learn(lesson, step, judge, recipe, tell)


class _Lesson:
    """What is learned: a matrix for pictures, and with a first scale one for sentences and the scale of the cosines."""

    def __init__(self, start: Projection, views: Views, log_scale: torch.Tensor | None) -> None:
        self.views, self._start, self._origin = views, start, torch.tensor(start.matrix)
        self.learned = [torch.nn.Parameter(self._origin.clone())]
        if log_scale is not None:
            self.learned += [torch.nn.Parameter(self._origin.clone()), torch.nn.Parameter(log_scale)]

    @property
    def log_scale(self) -> torch.Tensor:
        return self.learned[2]

    def show(self, vectors: torch.Tensor) -> torch.Tensor:
        return functional.normalize(functional.dropout(vectors, DROPOUT) @ self.learned[0], dim=1)

    def say(self, vectors: torch.Tensor) -> torch.Tensor:
        return functional.normalize(functional.dropout(vectors, DROPOUT) @ self.learned[1], dim=1)

    def pull(self) -> torch.Tensor:
        strays = [(matrix - self._origin).square().sum() for matrix in self.learned[:2]]
        return PULL * torch.stack(strays).sum()

    def export(self, epoch: int) -> Refined:
        image, *text = (Projection(self._start.mean, matrix.detach().numpy().copy()) for matrix in self.learned[:2])
        return Refined(image, text[0] if text else None, epoch)


def _learn(
    lesson: _Lesson,
    step: Callable[[Places], torch.Tensor],
    judge: Callable[[Refined], float],
    recipe: Recipe,
    tell: Callable[[str], None],
) -> Refined:
    rng = np.random.default_rng(recipe.seed)
    batches = Batches(lesson.views, rng, size=recipe.batch, hard_negatives=recipe.hard_negatives)
    optimizer = torch.optim.Adam(lesson.learned, LEARNING_RATE / 2)
    steps = recipe.epochs * batches.count + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    kept = lesson.export(0)
    best = judge(kept)
    tell(f"before the first epoch: held-out figure {best:.3f}")
    for epoch in range(1, recipe.epochs + 1):
        neighbours = None
        if recipe.hard_negatives:
            vectors = apply_head(lesson.export(epoch).image, lesson.views.vectors)
            neighbours = mine_neighbours(vectors, lesson.views, recipe.hard_negatives)
        losses = []
        for chosen in batches.epoch(neighbours):
            loss = step(chosen)
            optimizer.zero_grad()
            (loss + lesson.pull()).backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        found = lesson.export(epoch)
        figure = judge(found)
        if figure > best:
            best, kept = figure, found
        if epoch % 10 == 0:
            tell(f"epoch {epoch}: loss {np.mean(losses):.3f}, held-out figure {figure:.3f}")
        if epoch - kept.epoch >= PATIENCE:
            break
    return kept
