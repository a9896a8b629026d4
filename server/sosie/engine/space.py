"""The embedding space: which parts a vector consists of, and how a question weighs them.

A row of the index holds one vector, the concatenation of unit-length parts. A question fills the parts that it knows,
each scaled by its weight, and leaves the others zero; the inner product of the two is then the weighted sum of the
parts' cosine similarities.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from sosie.engine.calibration import KINDS, Calibration, Curve, Kind, name_kind
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

    def default_weight(self, *, image: bool, text: bool) -> float:
        """What it weighs by default where a picture fills it, a sentence, or both."""
        return self.image_weight * image + self.text_weight * text


@dataclass(frozen=True)
class EmbeddingSpace:
    """Parts in the vector's order, under a name that changes with the encoders' weights.

    `label_part` is the part in which pictures and sentences meet, `label_scale` the factor that turns its cosines into
    logits when labels are scored by their text, `label_prompt` the sentence that a label is put into for that, in the
    place of its {}. `figures` are what was measured of the space when it was made, `calibration` what turns inner
    products into scores, for those kinds of question where that was measured.
    """

    name: str
    parts: tuple[Part, ...]
    label_part: str
    label_scale: float
    label_prompt: str = "{}"
    figures: Mapping[str, float] = field(default_factory=dict)
    calibration: Mapping[Kind, Calibration] = field(default_factory=dict)

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
        unknown = set(self.calibration) - set(KINDS)
        if unknown:
            raise BackendError(
                f"space {self.name!r}: {unknown.pop()!r} is no kind of question, only {', '.join(KINDS)}"
            )

    @cached_property
    def size(self) -> int:
        """Numbers in a whole vector."""
        return sum(part.size for part in self.parts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parts' names, in the vector's order."""
        return tuple(part.name for part in self.parts)

    def slices(self) -> Iterator[tuple[Part, slice]]:
        """Each part with its place in the vector."""
        return iter(self._slices)

    @cached_property
    def _slices(self) -> tuple[tuple[Part, slice], ...]:
        ends = [sum(part.size for part in self.parts[: place + 1]) for place in range(len(self.parts))]
        return tuple((part, slice(end - part.size, end)) for part, end in zip(self.parts, ends, strict=True))

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
                "calibration": {kind: measured.to_json() for kind, measured in self.calibration.items()},
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
                calibration={
                    kind: Calibration.from_json(measured) for kind, measured in raw.get("calibration", {}).items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"not the description of an embedding space: {error!r} in {text[:200]!r}"
            raise BackendError(message) from error


@dataclass(frozen=True)
class Query:
    """A question as a vector. A row's inner product with it is the sum of the parts' cosines, each times its weight.

    `weights` holds the weight, above 0, of each part that the question fills; `curve` gives scores, and is None where
    the space is not calibrated for questions of this kind.
    """

    space: EmbeddingSpace
    vector: Vector
    weights: Mapping[str, float]
    curve: Curve | None = None

    @cached_property
    def total(self) -> float:
        """The sum of the weights: the inner product of a row that is the same in every part."""
        return math.fsum(self.weights.values())

    def similarity(self, dot: float) -> float:
        """The weighted mean of the cosines, -1..1, of a row whose inner product with `vector` is `dot`."""
        similarity = dot / self.total
        if -1.0 <= similarity <= 1.0:
            return similarity
        return math.copysign(1.0, similarity)

    def score(self, dot: float) -> float:
        """The score, 0..1, of a row whose inner product with `vector` is `dot`; it never falls where `dot` grows.

        Without a curve it is the similarity, cut at 0.
        """
        return max(0.0, self.similarity(dot)) if self.curve is None else self.curve.score(dot)

    def shares(self, row: Vector) -> dict[str, tuple[float, float]]:
        """What each filled part gives to a row's similarity, and its cosine: {part: (share, cosine)}."""
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
    chosen = weights or {}
    if chosen:
        _check_weights(space, chosen)
    seen, said = image or {}, text or {}
    vector = np.zeros(space.size, np.float32)
    used: dict[str, float] = {}
    for part, place in space.slices():
        name = part.name
        one, other = seen.get(name), said.get(name)
        if one is not None and other is not None:
            shares = (chosen[name] / 2, chosen[name] / 2) if name in chosen else (part.image_weight, part.text_weight)
            weight = shares[0] + shares[1]
            direction = _blend(one, other, shares)
        elif one is not None:
            weight, direction = chosen.get(name, part.image_weight), one
        elif other is not None:
            weight, direction = chosen.get(name, part.text_weight), other
        else:
            continue
        if weight > 0:
            np.multiply(direction, np.float32(weight), out=vector[place])
            used[name] = weight
    if not used:
        filled = ", ".join(sorted({*seen, *said}))
        raise InputError("weights", f"no part that the question fills ({filled}) has a weight above 0")
    calibration = space.calibration.get(name_kind(image=image is not None, text=text is not None))
    return Query(space, vector, used, calibration.curve(used) if calibration else None)


def check_bounds(weights: Mapping[str, float], field: str = "weights") -> None:
    """Raises InputError where a weight is out of 0..100; `field` is the weights' path in the caller's terms."""
    for name, weight in weights.items():
        if not 0 <= weight <= MAX_WEIGHT:  # NaN fails too
            raise InputError(f"{field}[{name!r}]", f"must be 0 to {MAX_WEIGHT:g}, got {weight:g}")


def _check_weights(space: EmbeddingSpace, weights: Mapping[str, float]) -> None:
    for name in weights:
        if name not in space.names:
            raise InputError(
                f"weights[{name!r}]", f"the space {space.name} has no such part, only {', '.join(space.names)}"
            )
    check_bounds(weights)


def _blend(one: Vector, other: Vector, shares: tuple[float, float]) -> Vector:
    """The unit vector between two, by their shares; zero where they cancel each other out."""
    if not all(shares):
        return one if shares[0] else other
    blend: Vector = one * np.float32(shares[0]) + other * np.float32(shares[1])
    length = math.sqrt(float(blend @ blend))
    return blend / np.float32(length) if length > 0 else blend
