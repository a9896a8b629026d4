"""Fits two heads so that pictures and the sentences about them meet: symmetric contrastive learning, in torch.

The loss is CLIP's (Radford et al. 2021) over frozen towers. A picture's head is a linear map of standardised features,
a sentence's a perceptron with one hidden layer. Every batch also holds ImageNet's classes, each as the pair of its name
and its row in the classifier: a small catalog alone would let the heads forget all that it does not sell.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from sosie.training.fitting.judging import Places, measure_recall
from sosie.training.fitting.losses import contrastive
from sosie.training.fitting.running import seeded_torch
from sosie.training.fitting.sampling import by_product
from sosie.training.heads import Floats, Perceptron, Projection
from sosie.training.vectors import unit

SIZE = 256
HIDDEN = 512
PICTURE_DROPOUT = 0.5
SENTENCE_DROPOUT = 0.1
WEIGHT_DECAY = 0.05
LEARNING_RATE = 2e-3
"""The peak of the one-cycle schedule (Smith 2018)."""
BATCH = 512
SENTENCE_SHARES = (0.4, 0.3, 0.15, 0.15)
"""How often each of `Goods.sentences` is the one that a product is shown with."""
FIRST_LOG_SCALE = 2.6
MAX_LOG_SCALE = 4.6052
"""CLIP's bound: cosines are scaled by 100 at most."""
PATIENCE = 15
"""Epochs without a better held-out figure after which it stops."""


@dataclass(frozen=True)
class Pairs:
    """Pictures and sentences of products: `pictures` [n, 1280] show `owners` [n], rows of `sentences` [m, 4, 384]."""

    pictures: Floats
    owners: Places
    sentences: Floats

    def select(self, products: Places) -> "Pairs":
        """Those of some products alone, numbered anew in the order given."""
        places = np.full(len(self.sentences), -1)
        places[products] = np.arange(len(products))
        kept = places[self.owners] >= 0
        return Pairs(self.pictures[kept], places[self.owners[kept]], self.sentences[products])


@dataclass(frozen=True)
class Heads:
    """Both heads, and the epoch whose figure on the watched products was the best."""

    image: Projection
    text: Perceptron
    epoch: int


def fit_heads(
    taught: Pairs,
    watched: Pairs,
    classes: tuple[Floats, Floats],
    *,
    epochs: int,
    seed: int,
    tell: Callable[[str], None],
    batch: int = BATCH,
    neighbours: Places | None = None,
) -> Heads:
    """Fits heads to `taught`; keeps those of the epoch that serves `watched`, of which nothing is learned, best.

    `classes` are features [c, 1280] that stand for classes, and the vectors [c, 384] of their names. `neighbours`
    [products, k] are hard negatives that come into their product's batch, -1 for none; `batch` is in products. The same
    seed gives the same heads on the same machine. Raises FitError where memory runs out.
    """
    with seeded_torch(seed, batch):
        fitting = _Fitting(taught, watched, classes, epochs=epochs, seed=seed, batch=batch, neighbours=neighbours)
        return fitting.run(tell)


class _Fitting:
    """The state of one fitting."""

    def __init__(
        self,
        taught: Pairs,
        watched: Pairs,
        classes: tuple[Floats, Floats],
        *,
        epochs: int,
        seed: int,
        batch: int,
        neighbours: Places | None,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._mean, self._deviation = taught.pictures.mean(0), taught.pictures.std(0) + 1e-3
        self._taught, self._watched, self._epochs = taught, watched, epochs
        self._pictures = self._standardise(taught.pictures)
        self._sentences = torch.tensor(taught.sentences)
        self._classes = self._standardise(classes[0]), torch.tensor(classes[1])
        self._by_product = by_product(taught.owners, len(taught.sentences))
        self._neighbours = neighbours

        self._image = torch.nn.Linear(taught.pictures.shape[1], SIZE, bias=False)
        self._text = torch.nn.Sequential(
            torch.nn.Linear(taught.sentences.shape[2], HIDDEN), torch.nn.GELU(), torch.nn.Linear(HIDDEN, SIZE)
        )
        self._log_scale = torch.nn.Parameter(torch.tensor(FIRST_LOG_SCALE))
        learned = [*self._image.parameters(), *self._text.parameters()]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": learned, "weight_decay": WEIGHT_DECAY},
                {"params": [self._log_scale], "weight_decay": 0.0},
            ],
            LEARNING_RATE / 2,
        )
        company = 1 if neighbours is None else 1 + neighbours.shape[1]
        self._batches = max(1, round(len(taught.sentences) * company / batch))
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, LEARNING_RATE, total_steps=epochs * self._batches + 1
        )

    def run(self, tell: Callable[[str], None]) -> Heads:
        best, kept = -1.0, self._export(0)
        for epoch in range(1, self._epochs + 1):
            order = self._rng.permutation(len(self._sentences))
            losses = [self._step(self._join(products)) for products in np.array_split(order, self._batches)]
            heads = self._export(epoch)
            figure = judge(heads, self._watched)
            if figure > best:
                best, kept = figure, heads
            if epoch % 10 == 0:
                tell(f"epoch {epoch}: loss {np.mean(losses):.3f}, held-out mean reciprocal rank {figure:.3f}")
            if epoch - kept.epoch >= PATIENCE:
                break
        return kept

    def _join(self, products: Places) -> Places:
        """Products with their hard negatives, each once: what is there twice would be its own false foe."""
        if self._neighbours is None:
            return products
        near = self._neighbours[products].ravel()
        return np.unique(np.concatenate([products, near[near >= 0]]))

    def _step(self, products: Places) -> float:
        """One step on a picture and a sentence of each product, and as many classes again, half of them at most."""
        shown = [self._rng.choice(self._by_product[product]) for product in products]
        said = self._rng.choice(len(SENTENCE_SHARES), len(products), p=SENTENCE_SHARES)
        named = self._rng.permutation(len(self._classes[1]))[: max(1, len(products) // 2)]
        pictures = torch.cat([self._pictures[shown], self._classes[0][named]])
        sentences = torch.cat([self._sentences[products, said], self._classes[1][named]])
        left = functional.normalize(self._image(functional.dropout(pictures, PICTURE_DROPOUT)), dim=1)
        right = functional.normalize(self._text(functional.dropout(sentences, SENTENCE_DROPOUT)), dim=1)
        loss = contrastive(left, right, self._log_scale.clamp(max=MAX_LOG_SCALE).exp())
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        return float(loss.detach())

    def _standardise(self, pictures: Floats) -> torch.Tensor:
        return torch.tensor((pictures - self._mean) / self._deviation)

    def _export(self, epoch: int) -> Heads:
        matrix = _numbers(self._image.weight).T / self._deviation[:, None]
        inner, _, outer = self._text
        return Heads(
            Projection(self._mean, matrix),
            Perceptron(
                (_numbers(inner.weight).T.copy(), _numbers(outer.weight).T.copy()),
                (_numbers(inner.bias).copy(), _numbers(outer.bias).copy()),
            ),
            epoch,
        )


def embed_pictures(heads: Heads, features: Floats) -> Floats:
    """Unit vectors [n, 256] from features [n, 1280]."""
    return unit((features - heads.image.mean) @ heads.image.matrix)


def embed_sentences(heads: Heads, vectors: Floats) -> Floats:
    """Unit vectors [n, 256] from sentence vectors [n, 384]."""
    (inner, outer), (inner_bias, outer_bias) = heads.text.weights, heads.text.biases
    hidden = functional.gelu(torch.tensor(vectors @ inner + inner_bias)).numpy()
    return unit(hidden @ outer + outer_bias)


def judge(heads: Heads, pairs: Pairs) -> float:
    """The mean reciprocal rank by which sentences find pictures: of all that the shop says, and of titles alone."""
    pictures = embed_pictures(heads, pairs.pictures)
    products = np.arange(len(pairs.sentences))
    figures = [
        measure_recall(embed_sentences(heads, said), products, pictures, pairs.owners).reciprocal_rank
        for said in (pairs.sentences[:, 0], pairs.sentences[:, 1])
    ]
    return float(np.mean(figures))


def _numbers(tensor: torch.Tensor) -> Floats:
    numbers: Floats = tensor.detach().numpy()
    return numbers
