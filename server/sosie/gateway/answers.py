"""From the engine's results to the contract's messages."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sosie.engine import search
from sosie.engine.space import EmbeddingSpace
from sosie.engine.timing import StepTimes
from sosie.v1 import product_pb2
from sosie.v1 import visual_search_pb2 as pb

_Response = TypeVar("_Response", pb.SearchByImageResponse, pb.SearchByTextResponse)

_PRODUCTS = 4096  # parsed products that are kept; half a kilobyte each, at most 50


def write_hits(response: _Response, hits: Iterable[search.Hit], *, grouped: bool) -> _Response:
    """Adds the hits to a response; the indexer stored each picture's product, as it was then, as the row's payload.

    Filled in place: to build messages first and to pass them on copies each of them twice, half of the time.
    """
    for hit in hits:
        written = response.hits.add(score=hit.best.score, similarity=hit.best.similarity)
        written.product.CopyFrom(_read_product(hit.best.payload))
        for picture in hit.pictures if grouped else hit.pictures[:1]:
            shown = _read_product(picture.payload).pictures[picture.position]
            written.pictures.add(id=shown.id, url=shown.url, score=picture.score)
        written.picture.CopyFrom(written.pictures[0])
        if not grouped:
            written.ClearField("pictures")
        for part, (share, cosine) in hit.shares.items():
            written.shares.add(part=part, share=share, cosine=cosine)
    return response


@lru_cache(maxsize=_PRODUCTS)
def _read_product(payload: bytes) -> product_pb2.Product:
    """The product that a row holds; a shop's best are found again and again. Not to be changed by its callers."""
    return product_pb2.Product.FromString(payload)


def write_classification(
    name: str, labels: Sequence[str], scores: npt.NDArray[np.float32], top_k: int
) -> pb.Classification:
    """The `top_k` best labels of a set."""
    best = np.argsort(-scores, kind="stable")[:top_k]
    return pb.Classification(
        label_set=name, labels=[pb.LabelScore(label=labels[i], score=min(1.0, float(scores[i]))) for i in best]
    )


def write_space(space: EmbeddingSpace, weights: Mapping[str, float], category: Sequence[str] = ()) -> pb.EmbeddingSpace:
    """The space with the weights that a question gave its parts; `category` is the one that they were taken from."""
    return pb.EmbeddingSpace(
        name=space.name,
        parts=[pb.EmbeddingPart(name=p.name, size=p.size, weight=weights.get(p.name, 0.0)) for p in space.parts],
        category_path=category,
    )


def write_steps(steps: StepTimes) -> list[pb.StepTime]:
    """Where the call's time went."""
    times = []
    for step, seconds in steps.seconds.items():
        time = pb.StepTime(step=step)
        time.duration.FromNanoseconds(round(seconds * 1e9))
        times.append(time)
    return times
