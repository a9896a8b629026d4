"""Dividing a catalog: what promises that nothing is judged by what was learned from."""

import doctest
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sosie.training import splits
from sosie.training.splits import split_groups

ITEMS = st.lists(st.tuples(st.integers(0, 40).map(str), st.sampled_from("abc")), min_size=1, max_size=200)


def test_examples() -> None:
    """The docstring's example holds."""
    assert doctest.testmod(splits).failed == 0


@given(ITEMS, st.integers(0, 5))
def test_groups_stay_whole(items: list[tuple[str, str]], seed: int) -> None:
    """A group is in one split alone."""
    groups, labels = zip(*items, strict=True)
    pairs = set(zip(groups, split_groups(groups, labels, seed=seed), strict=True))
    assert len(pairs) == len(set(groups))


@given(ITEMS)
def test_order_does_not_matter(items: list[tuple[str, str]]) -> None:
    """The same groups are divided alike in whatever order they come."""
    label_of = dict(items)
    groups = list(label_of)
    forward = dict(zip(groups, split_groups(groups, list(label_of.values())), strict=True))
    backward = groups[::-1]
    assert dict(zip(backward, split_groups(backward, [label_of[name] for name in backward]), strict=True)) == forward


def test_shares() -> None:
    """A hundred groups of a label are divided 60, 20 and 20; three go one to each; of two none is held out."""
    assert Counter(split_groups([str(n) for n in range(100)], ["a"] * 100)) == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }
    assert Counter(split_groups(list("abc"), ["a"] * 3)) == {"train": 1, "validation": 1, "test": 1}
    assert Counter(split_groups(list("ab"), ["a"] * 2)) == {"train": 2}


def test_seed() -> None:
    """Another seed divides otherwise."""
    groups = [str(n) for n in range(50)]
    assert split_groups(groups, ["a"] * 50, seed=0) != split_groups(groups, ["a"] * 50, seed=1)
