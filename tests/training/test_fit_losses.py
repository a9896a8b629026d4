"""The losses that heads learn by, against their formulas, and which products meet in a batch."""

import itertools

import numpy as np
import pytest

from sosie.training.fitting.sampling import Batches, Views, mine_neighbours, number
from sosie.training.heads import Floats
from sosie.training.vectors import unit

torch = pytest.importorskip("torch", reason="fitting needs the extra `training`")
losses = pytest.importorskip("sosie.training.fitting.losses")

LABELS = np.array([0, 0, 0, 1, 1, 2])


def draw(seed: int = 0, size: int = 5) -> Floats:
    return unit(np.random.default_rng(seed).standard_normal((len(LABELS), size))).astype(np.float32)


def lose(name: str, vectors: Floats, labels: np.ndarray = LABELS, **options: float) -> float:
    return float(getattr(losses, name)(torch.tensor(vectors), torch.tensor(labels), **options))


def test_supervised_is_khoslas_formula() -> None:
    """The supervised contrastive loss is L_out of Khosla et al., written out as sums over anchors and positives."""
    vectors, temperature = draw(), 0.2
    terms = []
    for anchor in range(len(LABELS)):
        others = [place for place in range(len(LABELS)) if place != anchor]
        positives = [place for place in others if LABELS[place] == LABELS[anchor]]
        total = sum(np.exp(vectors[anchor] @ vectors[place] / temperature) for place in others)
        shares = [np.log(np.exp(vectors[anchor] @ vectors[place] / temperature) / total) for place in positives]
        if positives:
            terms.append(-np.mean(shares))

    assert lose("supervised", vectors, temperature=temperature) == pytest.approx(np.mean(terms), rel=1e-5)


def test_triplet_takes_semi_hard_negatives() -> None:
    """A pair meets the nearest negative that is farther than its positive, else the farthest of all negatives."""
    angles = np.deg2rad([0, 30, 20, 40, 170])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([0, 0, 1, 2, 3])

    def distance(one: int, other: int) -> float:
        return float(2 - 2 * np.cos(angles[one] - angles[other]))

    # For 0 the positive is 30 degrees off: 20 is nearer, so 40 is its semi-hard negative. For 1 all but 170 are nearer.
    hinges = [distance(0, 1) - distance(0, 3) + 0.2, distance(1, 0) - distance(1, 4) + 0.2]

    assert lose("triplet", vectors, labels, margin=0.2) == pytest.approx(np.mean(np.maximum(hinges, 0)), abs=1e-5)


def test_triplet_without_a_farther_negative() -> None:
    """Where every negative is nearer than the positive, the farthest of them counts."""
    angles = np.deg2rad([0, 90, 20, 40])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([0, 0, 1, 2])
    far = [2 - 2 * np.cos(np.deg2rad(angle)) for angle in (90, 40, 70)]

    expected = np.mean([far[0] - far[1] + 0.2, far[0] - far[2] + 0.2])
    assert lose("triplet", vectors, labels, margin=0.2) == pytest.approx(expected, abs=1e-5)


def test_cosine_is_torchs_loss_by_kinds() -> None:
    """The cosine loss is the sum of torch's CosineEmbeddingLoss over pairs of one label and over the others."""
    vectors = draw()
    pairs = np.array(list(itertools.permutations(range(len(LABELS)), 2)))
    same = LABELS[pairs[:, 0]] == LABELS[pairs[:, 1]]
    expected = 0.0
    for kind, sign in ((same, 1.0), (~same, -1.0)):
        left, right = (torch.tensor(vectors[pairs[kind, side]]) for side in (0, 1))
        target = torch.full((int(kind.sum()),), sign)
        expected += float(torch.nn.functional.cosine_embedding_loss(left, right, target, margin=0.3))

    assert lose("cosine", vectors, margin=0.3) == pytest.approx(expected, rel=1e-5)


def test_contrastive_is_cross_entropy_both_ways() -> None:
    """The contrastive loss is the mean of -log softmax of the right pair, over rows and over columns."""
    left, right = draw(1), draw(2)
    logits = np.exp(7 * left @ right.T)
    expected = -(np.log(np.diag(logits) / logits.sum(1)) + np.log(np.diag(logits) / logits.sum(0))).mean() / 2

    found = losses.contrastive(torch.tensor(left), torch.tensor(right), torch.tensor(7.0))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["supervised", "triplet", "cosine"])
def test_nothing_to_learn_is_no_error(name: str) -> None:
    """A batch without two pictures of a label gives a finite loss whose gradient is finite, too."""
    vectors = torch.tensor(draw(), requires_grad=True)
    loss = getattr(losses, name)(vectors, torch.arange(len(LABELS)))
    loss.backward()

    assert torch.isfinite(loss)
    assert torch.isfinite(vectors.grad).all()


def test_hard_negatives_are_of_the_same_kind() -> None:
    """A product's hard negatives are the most similar products of its kind; where it has no kind, of all."""
    vectors = unit(np.array([[1, 0], [0.9, 0.1], [0.8, 0.3], [1, 0.01], [0, 1]])).astype(np.float32)
    kinds = number(["boot", "boot", "boot", "lamp", ""])
    views = Views(vectors, np.arange(5), np.arange(5), kinds)

    found = mine_neighbours(vectors, views, 2)

    assert found[0].tolist() == [1, 2]
    assert found[3].tolist() == [-1, -1]  # nothing else is a lamp
    assert found[4].tolist() == [2, 1]


def test_hard_negatives_are_no_positives() -> None:
    """Where categories pull together, products of the own category are no negatives."""
    vectors = draw()
    views = Views(vectors, np.arange(6), LABELS, LABELS + 1)

    found = mine_neighbours(vectors, views, 3)

    assert all(LABELS[place] != LABELS[product] for product in range(6) for place in found[product] if place >= 0)


def test_every_product_is_drawn_once_an_epoch() -> None:
    """An epoch shows two pictures of each product that has a label, and its neighbours beside it."""
    owners = np.repeat(np.arange(20), 3)
    labels = np.where(np.arange(20) < 15, np.arange(20), -1)
    views = Views(np.zeros((60, 2), np.float32), owners, labels, np.zeros(20, np.int64))
    batches = Batches(views, np.random.default_rng(0), size=12, hard_negatives=0)

    shown = np.concatenate(list(batches.epoch(None)))
    assert sorted(owners[shown]) == sorted(np.repeat(np.arange(15), 2))

    neighbours = np.full((20, 1), 7)
    for batch in Batches(views, np.random.default_rng(0), size=12, hard_negatives=1).epoch(neighbours):
        assert 7 in owners[batch]
        assert len(set(batch.tolist())) == len(batch)
