"""Weighs many questions at once, as `sosie.engine.space.build_query` weighs one."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from sosie.engine.space import EmbeddingSpace, Parts, build_query
from sosie.training.heads import Floats

Side = Literal["image", "text"]


def weigh_queries(
    space: EmbeddingSpace, parts: Parts, side: Side, weights: Mapping[str, float] | None = None
) -> Floats:
    """Query vectors [n, size] of n questions by a picture, or by a sentence, that fill `parts` ([n, size] each).

    Row i is the vector of `build_query(space, image={name: values[i] ...}, weights=weights)`, or of `text=`. Raises
    InputError as it does.
    """
    chosen = weights or {}
    check_weights(space, parts, side, chosen)
    rows = len(next(iter(parts.values())))
    vectors = np.zeros((rows, space.size), np.float32)
    for part, place in space.slices():
        if part.name in parts:
            weight = chosen.get(part.name, getattr(part, f"{side}_weight"))
            vectors[:, place] = parts[part.name] * np.float32(weight)
    return vectors


def check_weights(space: EmbeddingSpace, parts: Parts, side: Side, weights: Mapping[str, float]) -> None:
    """Raises InputError where these weights make no question of these parts, as `build_query` does."""
    blank = {name: np.zeros(values.shape[-1], np.float32) for name, values in parts.items()}
    if side == "image":
        build_query(space, image=blank, weights=weights)
    else:
        build_query(space, text=blank, weights=weights)
