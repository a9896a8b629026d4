"""The embedding space: which parts a vector consists of, and how a question weighs them.

A row of the index holds one vector, the concatenation of unit-length parts. A question fills the parts that it knows,
each scaled by its weight, and leaves the others zero; the inner product of the two is then the weighted sum of the
parts' cosine similarities.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from sosie.engine.errors import BackendError, InputError

Vector: TypeAlias = npt.NDArray[np.float32]
Parts: TypeAlias = Mapping[str, Vector]
"""Vectors by part name: shape [size] for one input, [n, size] for a batch; each of unit length, or all zero."""

MAX_WEIGHT = 100.0


@dataclass(frozen=True)
class Part:
    """One part of the vector.

    `image_weight` and `text_weight` are the weights that it has by default where a picture, or a sentence, fills it.
    """

    name: str
    size: int
    image_weight: float = 0.0
    text_weight: float = 0.0


@dataclass(frozen=True)
class EmbeddingSpace:
    """Parts in the vector's order, under a name that changes with the encoders' weights.

    `label_part` is the part in which pictures and sentences meet, `label_scale` the factor that turns its cosines into
    logits when labels are scored by their text, `label_prompt` the sentence that a label is put into for that, in the
    place of its {}. `figures` are what was measured of the space when it was made.
    """

    name: str
    parts: tuple[Part, ...]
    label_part: str
    label_scale: float
    label_prompt: str = "{}"
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) != len(names) or min(part.size for part in self.parts) < 1:
            message = f"space {self.name!r}: parts need different names and sizes of at least 1, got {self.parts}"
            raise BackendError(message)
        if "{}" not in self.label_prompt:
            raise BackendError(f"space {self.name!r}: label_prompt {self.label_prompt!r} has no {{}} for the label")
        if self.label_part not in names:
            message = f"space {self.name!r}: label_part {self.label_part!r} is none of its parts {names}"
            raise BackendError(message)

    @property
    def size(self) -> int:
        """Numbers in a whole vector."""
        return sum(part.size for part in self.parts)

    def slices(self) -> Iterator[tuple[Part, slice]]:
        """Each part with its place in the vector."""
        start = 0
        for part in self.parts:
            yield part, slice(start, start + part.size)
            start += part.size

    def assemble(self, parts: Parts) -> Vector:
        """The vector, [size] or [n, size], that holds these parts; those not given are zero."""
        rows = next(iter(parts.values())).shape[:-1]
        vector = np.zeros((*rows, self.size), np.float32)
        for part, place in self.slices():
            if part.name in parts:
                vector[..., place] = parts[part.name]
        return vector

    def split(self, vector: Vector) -> dict[str, Vector]:
        """The parts of a vector, [size] or [n, size], that are not all zero."""
        parts = {part.name: vector[..., place] for part, place in self.slices()}
        return {name: values for name, values in parts.items() if values.any()}

    def to_json(self) -> str:
        """The self-description that models and collections carry."""
        return json.dumps(
            {
                "name": self.name,
                "parts": [
                    {"name": p.name, "size": p.size, "image_weight": p.image_weight, "text_weight": p.text_weight}
                    for p in self.parts
                ],
                "label_part": self.label_part,
                "label_scale": self.label_scale,
                "label_prompt": self.label_prompt,
                "figures": dict(self.figures),
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The space that `to_json` described. Raises BackendError where the description is not one."""
        try:
            raw: dict[str, Any] = json.loads(text)
            return cls(
                name=raw["name"],
                parts=tuple(Part(**part) for part in raw["parts"]),
                label_part=raw["label_part"],
                label_scale=float(raw["label_scale"]),
                label_prompt=raw.get("label_prompt", "{}"),
                figures=raw.get("figures", {}),
            )
        except (ValueError, KeyError, TypeError) as error:
            message = f"not the description of an embedding space: {error!r} in {text[:200]!r}"
            raise BackendError(message) from error


@dataclass(frozen=True)
class Query:
    """A question as a vector: `vector @ row / total` is the score of a row, before it is cut at 0.

    `weights` holds the weight of each part that the question fills.
    """

    space: EmbeddingSpace
    vector: Vector
    weights: Mapping[str, float]

    @property
    def total(self) -> float:
        """The sum of the weights: what a row that is the same in every part would reach."""
        return math.fsum(self.weights.values())

    def score(self, dot: float) -> float:
        """The score, 0..1, of a row whose inner product with `vector` is `dot`; it never falls where `dot` grows."""
        return min(1.0, max(0.0, dot / self.total))

    def shares(self, row: Vector) -> dict[str, tuple[float, float]]:
        """What each filled part gives to a row's score, and its cosine: {part: (share, cosine)}."""
        return {
            part.name: (float(dot) / self.total, float(dot) / self.weights[part.name])
            for part, place in self.space.slices()
            if part.name in self.weights
            for dot in [self.vector[place] @ row[place]]
        }


def build_query(
    space: EmbeddingSpace,
    *,
    image: Parts | None = None,
    text: Parts | None = None,
    weights: Mapping[str, float] | None = None,
) -> Query:
    """Weighs the parts of a picture, of a sentence or of both into one query.

    A part that both fill is shared: each side gives its direction by its own weight, and where `weights` names the
    part, each side half of it.

    Raises InputError where `weights` names an unknown part, is out of 0..100, or leaves nothing above zero.
    """
    chosen = dict(weights or {})
    _check_weights(space, chosen)
    sides = [(parts, kind) for parts, kind in ((image, "image_weight"), (text, "text_weight")) if parts is not None]
    vector = np.zeros(space.size, np.float32)
    used: dict[str, float] = {}
    for part, place in space.slices():
        known = [(parts[part.name], getattr(part, kind)) for parts, kind in sides if part.name in parts]
        if part.name in chosen:
            known = [(values, chosen[part.name] / len(known)) for values, _ in known]
        weight = math.fsum(w for _, w in known)
        if weight > 0:
            vector[place] = _blend(known) * weight
            used[part.name] = weight
    if not used:
        filled = sorted({name for parts, _ in sides for name in parts})
        raise InputError("weights", f"no part that the question fills ({', '.join(filled)}) has a weight above 0")
    return Query(space, vector, used)


def check_bounds(weights: Mapping[str, float], field: str = "weights") -> None:
    """Raises InputError where a weight is out of 0..100; `field` is the weights' path in the caller's terms."""
    for name, weight in weights.items():
        if not 0 <= weight <= MAX_WEIGHT:  # NaN fails too
            raise InputError(f"{field}[{name!r}]", f"must be 0 to {MAX_WEIGHT:g}, got {weight:g}")


def _check_weights(space: EmbeddingSpace, weights: Mapping[str, float]) -> None:
    names = [part.name for part in space.parts]
    for name in weights:
        if name not in names:
            raise InputError(f"weights[{name!r}]", f"the space {space.name} has no such part, only {', '.join(names)}")
    check_bounds(weights)


def _blend(known: Sequence[tuple[Vector, float]]) -> Vector:
    """The unit vector between several, by their weights."""
    blend = sum((values * np.float32(weight) for values, weight in known), np.zeros_like(known[0][0]))
    length = float(np.linalg.norm(blend))
    return blend / np.float32(length) if length > 0 else blend
