"""Scores from what was measured of pairs."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FAKE_SPACE, unit
from sosie.engine.calibration import Calibration, Curve, Kind
from sosie.engine.errors import BackendError
from sosie.engine.space import EmbeddingSpace, Query, build_query

MEASURED = Calibration(
    parts=("look", "colour"),
    fitting=(0.7, 0.8),
    others=(0.3, 0.5),
    covariance=((0.02, 0.004), (0.004, 0.03)),
    slope=1.1,
    offset=-0.4,
)
SPACE = dataclasses.replace(FAKE_SPACE, calibration={"image": MEASURED})
WEIGHT = st.floats(0.01, 100)


def ask(weights: dict[str, float] | None = None, space: EmbeddingSpace = SPACE) -> Query:
    image = {"look": unit(np.arange(12.0)), "colour": unit(np.ones(3))}
    return build_query(space, image=image, weights=weights)


@given(look=WEIGHT, colour=WEIGHT, low=st.floats(-1, 1), high=st.floats(-1, 1))
def test_scores_rise_with_the_inner_product(look: float, colour: float, low: float, high: float) -> None:
    """Whatever the weights, a score is 0 to 1 and never falls where the inner product grows."""
    query = ask({"look": look, "colour": colour})
    low, high = sorted((low * query.total, high * query.total))
    assert 0 <= query.score(low) <= query.score(high) <= 1


@given(look=WEIGHT, colour=WEIGHT, factor=st.floats(0.01, 1), cosine=st.floats(-1, 1))
def test_only_ratios_of_weights_matter(look: float, colour: float, factor: float, cosine: float) -> None:
    """Weights that are all multiplied by the same number give the same scores."""
    query = ask({"look": look, "colour": colour})
    scaled = ask({"look": look * factor, "colour": colour * factor})
    assert query.score(cosine * query.total) == pytest.approx(scaled.score(cosine * scaled.total), abs=1e-6)


def test_score_is_the_posterior_of_two_normal_distributions() -> None:
    """Where both kinds of pairs are normal with equal variances, the score is the share of those that fit."""
    plain = dataclasses.replace(MEASURED, slope=1.0, offset=0.0)
    weights = np.array([1.0, 3.0])
    curve = plain.curve({"look": 1.0, "colour": 3.0})
    assert curve is not None
    variance = weights @ np.array(plain.covariance) @ weights
    for dot in (0.5, 2.0, 3.0):
        fitting, others = (
            math.exp(-((dot - weights @ np.array(means)) ** 2) / 2 / variance)
            for means in (plain.fitting, plain.others)
        )
        assert curve.score(dot) == pytest.approx(fitting / (fitting + others))


def test_weights_that_tell_nothing_apart() -> None:
    """Where rows that fit are no nearer than others, every row gets one score."""
    blind = dataclasses.replace(MEASURED, fitting=(0.3, 0.8))
    assert blind.curve({"look": 1.0}) == Curve(0.0, -0.4)


def test_uncalibrated_questions_score_by_similarity() -> None:
    """Without figures for its kind, or for one of its parts, a question's scores are mean cosines, cut at 0."""
    text = build_query(SPACE, text={"words": unit(np.ones(8))})
    assert text.curve is None
    assert [text.score(dot) for dot in (-0.5, 0.4, 1.00001)] == [0, 0.4, 1]
    strange = dataclasses.replace(FAKE_SPACE, calibration={"image": dataclasses.replace(MEASURED, parts=("look", "x"))})
    assert ask(space=strange).curve is None
    assert ask({"colour": 0.0}, space=strange).curve is not None


def test_no_score_overflows() -> None:
    """However steep a curve, its scores are 0 to 1."""
    assert [Curve(1e300, 0.0).score(dot) for dot in (-1e8, 0.0, 1e8)] == [0, 0.5, 1]


def test_both_sides_have_a_calibration_of_their_own() -> None:
    """A picture beside a sentence is scored by the figures of such questions, not by those of pictures."""
    both = dataclasses.replace(MEASURED, parts=("look", "words"), slope=2.0)
    space = dataclasses.replace(FAKE_SPACE, calibration={"image": MEASURED, "image+text": both})
    image, text = {"look": unit(np.arange(12.0))}, {"words": unit(np.ones(8))}
    query = build_query(space, image=image, text=text)
    assert query.curve == both.curve({"look": 1.0, "words": 1.0})


def test_description_round_trip() -> None:
    """The space's self-description carries the figures, and one without any is read as uncalibrated."""
    assert EmbeddingSpace.from_json(SPACE.to_json()) == SPACE
    older = json.loads(SPACE.to_json())
    del older["calibration"]
    assert EmbeddingSpace.from_json(json.dumps(older)) == FAKE_SPACE


@pytest.mark.parametrize(
    "wrong",
    [
        {"parts": ["look"]},
        {"fitting": [0.7, "x"]},
        {"others": [0.7, math.nan]},
        {"covariance": [[1.0, 0.0]]},
        {"slope": 0},
        {"offset": None},
    ],
)
def test_wrong_figures(wrong: dict[str, object]) -> None:
    """Figures that cannot be right are refused as a fault of the set-up."""
    raw = json.loads(SPACE.to_json())
    raw["calibration"]["image"] |= wrong
    with pytest.raises(BackendError, match="not the description"):
        EmbeddingSpace.from_json(json.dumps(raw))


def test_unknown_kind_of_question() -> None:
    """Figures for a kind of question that there is not are refused."""
    kind: Kind = "sound"  # type: ignore[assignment]
    with pytest.raises(BackendError, match="no kind of question"):
        dataclasses.replace(FAKE_SPACE, calibration={kind: MEASURED})
