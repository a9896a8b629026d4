"""Scores that mean the same whatever a question asks with: how sure an inner product makes that a row fits.

For each kind of question the parts' cosines are measured over pairs that fit (two pictures of one product; a sentence
and a product of which the shop says it) and over pairs drawn by chance. Whatever the weights w of a question, the inner
product is a weighted sum of these cosines, so that its means w·m and its variance w'Cw over both kinds of pairs are
known. Linear discriminant analysis with equal variances and as many pairs of either kind (Bishop 2006, 4.2.1) turns
them into the probability that a pair with this inner product is one that fits, and two numbers for each kind of
question, found on the same pairs, put right what cosines differ from normal distributions by (Platt 1999).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self, TypeAlias, get_args

Kind: TypeAlias = Literal["image", "text", "image+text"]
"""What a question asks with."""
KINDS: tuple[Kind, ...] = get_args(Kind)


class Curve(NamedTuple):
    """A score as a function of the inner product: the logistic function of slope * dot + offset."""

    slope: float
    offset: float

    def score(self, dot: float) -> float:
        """0..1; it never falls where `dot` grows."""
        return 0.5 + 0.5 * math.tanh(0.5 * (self.slope * dot + self.offset))  # the logistic function, never overflowing


@dataclass(frozen=True)
class Calibration:
    """What was measured for one kind of question.

    `fitting` and `others` are the mean cosines of `parts` over pairs that fit and over pairs by chance, `covariance`
    [parts, parts] is the mean of both kinds'. `slope` and `offset` correct the log-odds that follow from them.
    """

    parts: tuple[str, ...]
    fitting: tuple[float, ...]
    others: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError where sizes differ, a number is not finite, or scores would fall where cosines grow."""
        rows = [self.fitting, self.others, *self.covariance]
        if not self.parts or len(self.covariance) != len(self.parts) or {len(row) for row in rows} != {len(self.parts)}:
            raise ValueError(f"a calibration of the parts {self.parts} needs as many means, and a square covariance")
        if not all(math.isfinite(value) for row in rows for value in (*row, self.slope, self.offset)):
            raise ValueError("a calibration's numbers must be finite")
        if self.slope <= 0:
            raise ValueError(f"a calibration's slope must be above 0, got {self.slope:g}")

    def curve(self, weights: Mapping[str, float]) -> Curve | None:
        """The scores of questions with these weights, above 0 each; None where a part of theirs was not measured.

        Where rows that fit are no nearer than others by these weights, every row gets the same score.
        """
        try:
            chosen = [(self.parts.index(name), weight) for name, weight in weights.items()]
        except ValueError:
            return None
        fitting = others = variance = 0.0
        for place, weight in chosen:
            fitting += weight * self.fitting[place]
            others += weight * self.others[place]
            row = self.covariance[place]
            for other, beside in chosen:
                variance += weight * beside * row[other]
        apart = fitting - others
        slope = self.slope * apart / variance if apart > 0 and variance > 0 else 0.0
        return Curve(slope, self.offset - slope * (fitting + others) / 2)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """What `to_json` described. Raises ValueError, KeyError or TypeError where it is not that."""
        return cls(
            parts=tuple(map(str, raw["parts"])),
            fitting=_floats(raw["fitting"]),
            others=_floats(raw["others"]),
            covariance=tuple(map(_floats, raw["covariance"])),
            slope=float(raw["slope"]),
            offset=float(raw["offset"]),
        )


def name_kind(*, image: bool, text: bool) -> Kind:
    """The kind of a question that holds a picture, a sentence or both."""
    return "image+text" if image and text else "image" if image else "text"


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(map(float, values))
