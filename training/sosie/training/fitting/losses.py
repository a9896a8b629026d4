"""The losses that heads learn by, in torch. Each takes unit vectors and gives a scalar.

contrastive  pictures against sentences: symmetric cross-entropy (Radford et al. 2021, CLIP)
supervised   pictures of one label against all others: L_out of supervised contrastive learning (Khosla et al. 2020)
triplet      semi-hard negatives within the batch (Schroff et al. 2015, FaceNet)
cosine       pairs, pulled to cosine 1 or pushed below a margin (torch's CosineEmbeddingLoss)
"""

import torch
from torch.nn import functional

TEMPERATURE = 0.1
"""Divides the cosines of `supervised`; Khosla et al. found 0.1 best."""
TRIPLET_MARGIN = 0.2
"""By how much of squared distance a negative is to be farther; FaceNet's."""
COSINE_MARGIN = 0.3
"""Below this cosine two pictures of different labels are left alone."""


def contrastive(left: torch.Tensor, right: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Rows of `left` and `right` [n, size] are pairs; `scale` turns cosines into logits."""
    logits = left @ right.T * scale
    truth = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)) / 2


def supervised(vectors: torch.Tensor, labels: torch.Tensor, temperature: float = TEMPERATURE) -> torch.Tensor:
    """The mean over anchors of -1/|P| sum over P of log softmax, the anchor itself left out; `labels` [n] are numbers.

    An anchor whose label nobody shares says nothing; where that is so for all, the loss is 0.
    """
    itself, same = _relations(labels)
    logits = (vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf)
    shares = functional.log_softmax(logits, dim=1)
    counts = same.sum(1)
    known = counts > 0
    if not known.any():
        return vectors.sum() * 0
    sums = torch.where(same, shares, 0.0).sum(1)
    return -(sums[known] / counts[known]).mean()


def triplet(vectors: torch.Tensor, labels: torch.Tensor, margin: float = TRIPLET_MARGIN) -> torch.Tensor:
    """The mean of max(0, d(anchor, positive) - d(anchor, negative) + margin), in squared distances.

    Each pair of one label meets its semi-hard negative: the nearest of those that are farther than the positive; where
    there is none, the farthest of all negatives. 0 where the batch has no positive or no negative.
    """
    itself, same = _relations(labels)
    other = ~(same | itself)
    distances = 2 - 2 * vectors @ vectors.T
    anchors, positives = torch.nonzero(same & other.any(1)[:, None], as_tuple=True)
    if not len(anchors):
        return vectors.sum() * 0
    near = distances[anchors, positives]
    from_anchor = distances[anchors]
    farther = other[anchors] & (from_anchor > near[:, None])
    semi_hard = from_anchor.masked_fill(~farther, torch.inf).min(1).values
    farthest = from_anchor.masked_fill(~other[anchors], -torch.inf).max(1).values
    far = torch.where(farther.any(1), semi_hard, farthest)
    return functional.relu(near - far + margin).mean()


def cosine(vectors: torch.Tensor, labels: torch.Tensor, margin: float = COSINE_MARGIN) -> torch.Tensor:
    """1 - cosine of pairs of one label, max(0, cosine - margin) of others; each kind by its own mean, then added.

    By one mean over all pairs the many of different labels would drown the few of the same.
    """
    itself, same = _relations(labels)
    other = ~(same | itself)
    cosines = vectors @ vectors.T
    loss = vectors.sum() * 0
    if same.any():
        loss = loss + (1 - cosines[same]).mean()
    if other.any():
        loss = loss + functional.relu(cosines[other] - margin).mean()
    return loss


PICTURE_LOSSES = {"supervised": supervised, "triplet": triplet, "cosine": cosine}
"""Those that compare pictures with pictures."""


def _relations(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pairs are an item with itself, and which two items of one label; both bool [n, n]."""
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return itself, (labels[:, None] == labels[None, :]) & ~itself
