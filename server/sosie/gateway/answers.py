"""From the engine's results to the contract's messages, as bytes.

A row holds its product serialised, just as a hit wants it: to parse it into objects and to write those again took three
times as long.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sosie.engine import search
from sosie.engine.space import EmbeddingSpace
from sosie.engine.timing import StepTimes
from sosie.engine.wire import float_tag, varint_tag, write_field, write_float, write_varint
from sosie.v1 import product_pb2
from sosie.v1 import visual_search_pb2 as pb

_PRODUCTS = 4096  # that are kept ready to be written; a kilobyte each, at most a hundred

# All three responses have the same numbers for these.
_FOUND = pb.SearchByTextResponse.HITS_FIELD_NUMBER
_SPACE = pb.SearchByTextResponse.SPACE_FIELD_NUMBER
_STEP_TIMES = pb.SearchByTextResponse.STEP_TIMES_FIELD_NUMBER
_PRODUCT = pb.Hit.PRODUCT_FIELD_NUMBER
_PICTURE = pb.Hit.PICTURE_FIELD_NUMBER
_PICTURES = pb.Hit.PICTURES_FIELD_NUMBER
_SHARES = pb.Hit.SHARES_FIELD_NUMBER
_SCORE = float_tag(pb.Hit.SCORE_FIELD_NUMBER)
_SIMILARITY = float_tag(pb.Hit.SIMILARITY_FIELD_NUMBER)
_MATCH_SCORE = float_tag(pb.PictureMatch.SCORE_FIELD_NUMBER)
_STEP = pb.StepTime.STEP_FIELD_NUMBER
_DURATION = pb.StepTime.DURATION_FIELD_NUMBER
_SECONDS, _NANOS = varint_tag(1), varint_tag(2)  # of google.protobuf.Duration


def write_found(
    hits: Iterable[search.Hit],
    *,
    grouped: bool,
    space: EmbeddingSpace,
    weights: Mapping[str, float],
    category: Sequence[str],
    steps: StepTimes,
) -> bytes:
    """A SearchByImageResponse, or a SearchByTextResponse.

    `weights` are those that the question gave the parts of `space`, `category` where they were taken from.
    """
    fields = [write_field(_FOUND, _write_hit(hit, grouped=grouped)) for hit in hits]
    return b"".join((*fields, _write_space(space, weights, category), *_write_steps(steps)))


def write_classified(
    classifications: Iterable[pb.Classification], *, space: EmbeddingSpace | None, steps: StepTimes
) -> bytes:
    """A ClassifyResponse; `space` is the one that free labels were scored in, if any were."""
    fields = [write_field(_FOUND, classification.SerializeToString()) for classification in classifications]
    where = _write_space(space, {space.label_part: 1.0}, ()) if space else b""
    return b"".join((*fields, where, *_write_steps(steps)))


def _write_hit(hit: search.Hit, *, grouped: bool) -> bytes:
    best = hit.best
    product, shown = _show(best.payload)
    score = write_float(best.score)
    fields = [product, _SCORE, score, _SIMILARITY, write_float(best.similarity), shown[best.position].alone, score]
    if grouped:
        fields += (shown[best.position].listed, score)
        for picture in hit.pictures[1:]:
            fields += (_show(picture.payload).pictures[picture.position].listed, write_float(picture.score))
    for part, (share, cosine) in hit.shares.items():
        fields.append(write_field(_SHARES, pb.PartShare(part=part, share=share, cosine=cosine).SerializeToString()))
    return b"".join(fields)


class _Picture(NamedTuple):
    """A PictureMatch up to its score, as a hit's best picture and as one of its pictures."""

    alone: bytes
    listed: bytes


class _Shown(NamedTuple):
    """A product as a hit's field, and its pictures."""

    product: bytes
    pictures: tuple[_Picture, ...]


@lru_cache(maxsize=_PRODUCTS)
def _show(payload: bytes) -> _Shown:
    """What hits say of a row's product, as it was when it was indexed; a shop's best are found again and again."""
    pictures = []
    for picture in product_pb2.Product.FromString(payload).pictures:
        named = bytes(pb.PictureMatch(id=picture.id, url=picture.url).SerializeToString()) + _MATCH_SCORE
        # The length counts the score, which follows.
        alone, listed = (write_field(number, named + bytes(4))[:-4] for number in (_PICTURE, _PICTURES))
        pictures.append(_Picture(alone, listed))
    return _Shown(write_field(_PRODUCT, payload), tuple(pictures))


def _write_space(space: EmbeddingSpace, weights: Mapping[str, float], category: Sequence[str]) -> bytes:
    parts = tuple((part.name, part.size, weights.get(part.name, 0.0)) for part in space.parts)
    return _write_parts(space.name, parts, tuple(category))


@lru_cache(maxsize=64)
def _write_parts(name: str, parts: tuple[tuple[str, int, float], ...], category: tuple[str, ...]) -> bytes:
    """The answer's space; most questions have the same weights."""
    space = pb.EmbeddingSpace(
        name=name,
        parts=[pb.EmbeddingPart(name=part, size=size, weight=weight) for part, size, weight in parts],
        category_path=category,
    )
    return write_field(_SPACE, space.SerializeToString())


def _write_steps(steps: StepTimes) -> Iterator[bytes]:
    """Where the call's time went."""
    for step, seconds in steps.seconds.items():
        whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
        duration = _NANOS + write_varint(nanos)
        if whole:
            duration += _SECONDS + write_varint(whole)
        yield write_field(_STEP_TIMES, _write_step(step) + write_field(_DURATION, duration))


@lru_cache(maxsize=64)
def _write_step(step: str) -> bytes:
    """The name of a step, of which there are few."""
    return write_field(_STEP, step.encode())


def write_classification(
    name: str, labels: Sequence[str], scores: npt.NDArray[np.float32], top_k: int
) -> pb.Classification:
    """The `top_k` best labels of a set."""
    best = np.argsort(-scores, kind="stable")[:top_k]
    return pb.Classification(
        label_set=name, labels=[pb.LabelScore(label=labels[i], score=min(1.0, float(scores[i]))) for i in best]
    )
