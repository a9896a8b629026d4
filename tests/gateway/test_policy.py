"""The file of weights by category: what it may say, and which of its entries a category takes."""

import doctest
import tomllib

import numpy as np
import pytest

from documented import ROOT, read_blocks, read_table
from sosie.gateway import weighting
from sosie.gateway.policy import Policy, PolicyError, choose_label

FILE = b"""
classifier = "kind"
threshold = 0.9

[categories.dresses]
colour = 8
look = 2

[categories.Women.Shoes]
colour = 1
look = 1

[categories.Women.Shoes."Heels & pumps"]
colour = 3

[categories.shoes]
look = 1
"""


def test_what_a_file_says() -> None:
    """Tables become entries, narrower ones within wider ones, and the rest has defaults."""
    policy = Policy.read(FILE)
    assert (policy.label_set, policy.threshold) == ("kind", 0.9)
    assert [(entry.path, entry.weights) for entry in policy.entries] == [
        (("dresses",), {"colour": 8, "look": 2}),
        (("Women", "Shoes", "Heels & pumps"), {"colour": 3}),
        (("Women", "Shoes"), {"colour": 1, "look": 1}),
        (("shoes",), {"look": 1}),
    ]
    assert Policy.read(b"") == Policy((), "category", 0.8)


@pytest.mark.parametrize(
    ("category", "taken"),
    [
        (["Dresses"], "dresses"),
        (["Women", "Clothing", "DRESSES ", "Maxi"], "dresses"),
        (["women", "shoes"], "Women/Shoes"),
        (["Shop", "Women", "Shoes", "Boots"], "Women/Shoes"),
        (["Women", "Shoes", "Heels & Pumps", "Red"], "Women/Shoes/Heels & pumps"),
        (["Men", "Shoes"], "shoes"),
        (["Shoes", "Women"], "shoes"),
        (["Women", "Shoes", "Shoes"], "shoes"),
        (["Women"], None),
        (["Dress"], None),
        ([], None),
    ],
)
def test_which_entry_a_category_takes(category: list[str], taken: str | None) -> None:
    """The entry that reaches the narrowest level, then the longer one, wherever it begins and whatever its case."""
    policy = Policy.read(FILE)
    entry = policy.find(category)
    assert (entry and "/".join(entry.path)) == taken
    assert policy.weights_for(category) == (entry and entry.weights)


def test_every_problem_is_listed() -> None:
    """A wrong file gets all that is wrong with it, each with its place."""
    wrong = b"""
    treshold = 0.9
    classifier = 3
    threshold = nan
    [categories]
    look = 1
    Hats = {}
    [categories.dresses]
    colour = 101
    look = -1
    words = "many"
    meaning = true
    [categories.Dresses]
    look = 1
    [categories.rings]
    look = 0
    [categories.a.b.c.d.e.f.g.h.i]
    look = 1
    [categories." "]
    look = inf
    """
    with pytest.raises(PolicyError) as caught:
        Policy.read(wrong)
    assert caught.value.problems == (
        "treshold is no setting, only classifier, threshold and categories are",
        'classifier is the name of a label set, or "" for none',
        "threshold is a number from 0 to 1",
        "categories.look is a weight of no category: it goes into a table, as [categories.dresses]",
        "categories.Hats has no weights",
        "categories.dresses.words is neither a weight nor a table",
        "categories.dresses.meaning is neither a weight nor a table",
        "categories.dresses.colour: must be 0 to 100, got 101",
        "categories.dresses.look: must be 0 to 100, got -1",
        "categories.rings.look: one weight has to be above 0",
        "categories.a.b.c.d.e.f.g.h.i: a category has at most 8 levels",
        "categories. : a level of a category has 1 to 128 characters",
        "categories. .look: must be 0 to 100, got inf",
        "categories.dresses and categories.Dresses differ in their case alone",
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[categories", "is no TOML"),
        (b"\xff", "is no TOML"),
        (b"categories = 3", "categories is a table of tables"),
        (b"[categories.a]\nlook = 1\nlook = 2", "is no TOML"),
    ],
)
def test_what_is_no_policy(data: bytes, problem: str) -> None:
    """What cannot be read at all is told in one line."""
    with pytest.raises(PolicyError, match=problem):
        Policy.read(data)


@pytest.mark.parametrize(
    ("probabilities", "threshold", "label"),
    [
        ([0.1, 0.85, 0.05], 0.8, "dress"),
        ([0.1, 0.75, 0.15], 0.8, None),
        ([0.5, 0.5, 0.0], 0.5, "boot"),
        ([np.nan, np.nan, np.nan], 0.0, None),
    ],
)
def test_when_a_classifier_is_sure(probabilities: list[float], threshold: float, label: str | None) -> None:
    """The best label counts from the threshold on, and numbers that are none never."""
    assert choose_label(("boot", "dress", "hat"), np.array(probabilities, np.float32), threshold) == label


def test_documented_policy() -> None:
    """The file of the documentation is a policy, and its table says which of its entries each category takes."""
    page = ROOT / "docs" / "ranking.md"
    (block,) = read_blocks(page, "toml")
    policy = Policy.read(block.encode())
    assert len(policy.entries) == len([line for line in block.splitlines() if line.startswith("[")])
    assert tomllib.loads(block)["threshold"] == policy.threshold
    table = read_table(page, "| category of the question | takes |")
    assert table
    for category, taken in table:
        entry = policy.find(category.split(" / "))
        assert (" / ".join(entry.path) if entry else "") == taken


def test_examples() -> None:
    """What the docstrings show is what the functions give."""
    result = doctest.testmod(weighting)
    assert result.attempted > 0
    assert result.failed == 0
