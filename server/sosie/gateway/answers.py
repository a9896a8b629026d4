"""From the engine's results to the contract's messages."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sosie.engine import search
from sosie.engine.space import EmbeddingSpace
from sosie.engine.timing import StepTimes
from sosie.v1 import product_pb2
from sosie.v1 import visual_search_pb2 as pb


def write_hit(hit: search.Hit, *, grouped: bool) -> pb.Hit:
    """A hit; the indexer stored each picture's product, as it was then, as the row's payload."""
    products = {
        payload: product_pb2.Product.FromString(payload) for payload in {picture.payload for picture in hit.pictures}
    }
    matches = [_write_match(products[picture.payload], picture) for picture in hit.pictures]
    return pb.Hit(
        product=products[hit.best.payload],
        score=hit.best.score,
        picture=matches[0],
        pictures=matches if grouped else (),
        shares=[pb.PartShare(part=part, share=share, cosine=cos) for part, (share, cos) in hit.shares.items()],
    )


def _write_match(product: product_pb2.Product, picture: search.ScoredPicture) -> pb.PictureMatch:
    shown = product.pictures[picture.position]
    return pb.PictureMatch(id=shown.id, url=shown.url, score=picture.score)


def write_classification(
    name: str, labels: Sequence[str], scores: npt.NDArray[np.float32], top_k: int
) -> pb.Classification:
    """The `top_k` best labels of a set."""
    best = np.argsort(-scores, kind="stable")[:top_k]
    return pb.Classification(
        label_set=name, labels=[pb.LabelScore(label=labels[i], score=min(1.0, float(scores[i]))) for i in best]
    )


def write_space(space: EmbeddingSpace, weights: Mapping[str, float]) -> pb.EmbeddingSpace:
    """The space with the weights that a question gave its parts."""
    return pb.EmbeddingSpace(
        name=space.name,
        parts=[pb.EmbeddingPart(name=p.name, size=p.size, weight=weights.get(p.name, 0.0)) for p in space.parts],
    )


def write_steps(steps: StepTimes) -> list[pb.StepTime]:
    """Where the call's time went."""
    times = []
    for step, seconds in steps.seconds.items():
        time = pb.StepTime(step=step)
        time.duration.FromNanoseconds(round(seconds * 1e9))
        times.append(time)
    return times
