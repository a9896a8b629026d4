"""The same product in several lines: which one counts, and what is said of the others."""

import json
from pathlib import Path

import pytest

from indexer_fixtures import make_product
from sosie.indexer.catalog import Catalog
from sosie.indexer.cleaning.merging import MergeRule, make_merger
from sosie.indexer.cleaning.options import RULES
from sosie.indexer.entry import Entry
from sosie.indexer.rejects import Repeat

DAYS = [(1, "2026-11-02"), (2, "2026-11-01"), (1, "2026-11-04"), (3, None), (1, "2026-11-03"), (3, None)]
"""By line: the product's number, and the day of its last change."""


def save(path: Path) -> Path:
    lines = []
    for number, day in DAYS:
        product = make_product(number)
        del product["update_time"]
        lines.append(json.dumps({**product, **({"update_time": f"{day}T00:00:00Z"} if day else {})}))
    path.write_text("\n".join(lines))
    return path


def read(path: Path, rule: MergeRule) -> tuple[list[int], dict[int, str]]:
    """The lines that count, and what is said of the others."""
    found = list(Catalog(path, merger=make_merger(rule)))
    counted = [each.line for each in found if isinstance(each, Entry)]
    return counted, {each.line: each.reason for each in found if isinstance(each, Repeat)}


@pytest.mark.parametrize(
    ("rule", "counted"),
    [("first", [1, 2, 4]), ("last", [2, 5, 6]), ("newest", [2, 3, 4]), ("refuse", [2])],
)
def test_one_line_counts(rule: str, counted: list[int], tmp_path: Path) -> None:
    """By each rule the lines that count are told, and every other line is rejected as a repeat."""
    found, repeats = read(save(tmp_path / "c.jsonl"), MergeRule(rule))
    assert found == counted
    assert sorted([*found, *repeats]) == [1, 2, 3, 4, 5, 6]


def test_the_others_are_told_which_one_counts(tmp_path: Path) -> None:
    """A rejected line names the one that counts and the rule, or says that none does."""
    catalog = save(tmp_path / "c.jsonl")
    assert read(catalog, MergeRule.LAST)[1][1] == "product_id is also that of line 5, which counts by --merge last"
    assert read(catalog, MergeRule.NEWEST)[1][5] == "product_id is also that of line 3, which counts by --merge newest"
    assert read(catalog, MergeRule.NEWEST)[1][6] == "product_id is also that of line 4, which counts by --merge newest"
    reason = "product_id is that of 3 lines, the first is line 1: --merge refuse takes none"
    assert {read(catalog, MergeRule.REFUSE)[1][line] for line in (1, 3, 5)} == {reason}


def test_times_far_away_are_compared(tmp_path: Path) -> None:
    """The first and the last time that a product may have are as good as others."""
    times = ("2026-11-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z")
    lines = [json.dumps({**make_product(), "update_time": time}) for time in times]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    assert read(tmp_path / "c.jsonl", MergeRule.NEWEST)[0] == [2]


@pytest.mark.parametrize("rule", MergeRule)
def test_lines_of_other_files_are_named(rule: MergeRule, tmp_path: Path) -> None:
    """A product may repeat in another file of the folder; an invalid line never counts and hides none."""
    (tmp_path / "a.jsonl").write_text(json.dumps(make_product()))
    (tmp_path / "b.jsonl").write_text(
        json.dumps(make_product())
        + "\n"
        + json.dumps({**make_product(), "title": "", "update_time": "2026-12-01T00:00:00Z"})
    )
    found = list(Catalog(tmp_path, merger=make_merger(rule)))
    assert sum(isinstance(each, Entry) for each in found) == (rule is not MergeRule.REFUSE)
    reasons = [each.reason for each in found if isinstance(each, Repeat)]
    assert len(reasons) == (2 if rule is MergeRule.REFUSE else 1)
    other = "b.jsonl" if rule is MergeRule.LAST else "a.jsonl"
    assert any(f"line 1 of {other}" in reason for reason in reasons)


def test_the_options_name_every_rule() -> None:
    """What --merge takes are the rules."""
    assert tuple(MergeRule) == RULES
