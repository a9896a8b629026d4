"""Parts, weights and the query vector."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FAKE_SPACE, unit
from sosie.engine.errors import BackendError, InputError
from sosie.engine.space import EmbeddingSpace, Parts, build_query

SIZES = {part.name: part.size for part in FAKE_SPACE.parts}


def random_parts(seed: int, *names: str) -> Parts:
    random = np.random.default_rng(seed)
    return {name: unit(random.normal(size=SIZES[name])) for name in names}


@given(
    seed=st.integers(0, 1000),
    weights=st.dictionaries(st.sampled_from(["look", "colour"]), st.floats(0.01, 100), max_size=2),
)
def test_dot_is_the_weighted_sum_of_cosines(seed: int, weights: dict[str, float]) -> None:
    """The query's product with a row is the sum of each filled part's weight times its cosine."""
    image = random_parts(seed, "look", "colour")
    row = random_parts(seed + 1, *SIZES)
    query = build_query(FAKE_SPACE, image=image, weights=weights)
    used = {"look": 1.0, "colour": 0.5} | weights
    expected = sum(weight * float(image[name] @ row[name]) for name, weight in used.items())
    assert float(query.vector @ FAKE_SPACE.assemble(row)) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert query.total == pytest.approx(sum(used.values()))


@given(seed=st.integers(0, 1000))
def test_same_row_scores_one(seed: int) -> None:
    """A row that is the question itself reaches the total weight."""
    image = random_parts(seed, "look", "colour")
    query = build_query(FAKE_SPACE, image=image)
    assert float(query.vector @ FAKE_SPACE.assemble(image)) / query.total == pytest.approx(1, abs=1e-5)


def test_shares_sum_to_the_score() -> None:
    """The shares of the filled parts sum to the score, and each names its cosine."""
    image, row = random_parts(1, "look", "colour"), FAKE_SPACE.assemble(random_parts(2, *SIZES))
    query = build_query(FAKE_SPACE, image=image)
    shares = query.shares(row)
    assert sum(share for share, _ in shares.values()) == pytest.approx(
        float(query.vector @ row) / query.total, abs=1e-6
    )
    look = random_parts(2, *SIZES)["look"]
    assert shares["look"][1] == pytest.approx(float(image["look"] @ look), abs=1e-6)


def test_picture_and_sentence_share_a_part() -> None:
    """A part that both fill points between them by their weights, at unit length times the whole weight."""
    space = dataclasses.replace(
        FAKE_SPACE,
        parts=tuple(dataclasses.replace(p, image_weight=1.0, text_weight=1.0) for p in FAKE_SPACE.parts),
    )
    one, other = random_parts(1, "meaning"), random_parts(2, "meaning")
    query = build_query(space, image=one, text=other)
    place = next(place for part, place in space.slices() if part.name == "meaning")
    middle = unit(one["meaning"] + other["meaning"])
    np.testing.assert_allclose(query.vector[place], 2 * middle, atol=1e-5)
    again = build_query(space, image=one, text=other, weights={"meaning": 5})
    assert again.weights == {"meaning": 5}


def test_split_is_the_inverse_of_assemble() -> None:
    """Splitting a row gives back its parts, without those that are zero."""
    parts = random_parts(3, "look", "words")
    split = FAKE_SPACE.split(FAKE_SPACE.assemble(parts))
    assert set(split) == {"look", "words"}
    np.testing.assert_array_equal(split["look"], parts["look"])


def test_json_round_trip() -> None:
    """The self-description gives back the same space."""
    space = dataclasses.replace(FAKE_SPACE, figures={"hit_rate": 0.5}, label_prompt="a {}")
    assert EmbeddingSpace.from_json(space.to_json()) == space


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"name": "x", "parts": [], "label_part": "a", "label_scale": 1}', '{"parts": 1}']
)
def test_wrong_description(text: str) -> None:
    """What does not describe a space is refused as a fault of the set-up."""
    with pytest.raises(BackendError):
        EmbeddingSpace.from_json(text)


@pytest.mark.parametrize(
    ("weights", "field"),
    [
        ({"taste": 1.0}, "weights['taste']"),
        ({"look": -0.1}, "weights['look']"),
        ({"look": 100.1}, "weights['look']"),
        ({"look": float("nan")}, "weights['look']"),
        ({"look": 0.0, "colour": 0.0}, "weights"),
    ],
)
def test_wrong_weights(weights: dict[str, float], field: str) -> None:
    """Weights that are unknown, out of bounds or leave nothing are refused by name."""
    with pytest.raises(InputError) as caught:
        build_query(FAKE_SPACE, image=random_parts(1, "look", "colour"), weights=weights)
    assert caught.value.field == field
