"""Tables for people."""

import pytest

from sosie.client.tables import clean, cut, format_table, width


@pytest.mark.parametrize(("text", "columns"), [("", 0), ("boot", 4), ("靴", 2), ("e\u0301", 1), ("Ådal", 4)])
def test_width_counts_columns(text: str, columns: int) -> None:
    """Wide signs take two columns, combining ones none."""
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "shown"), [("boots", 5, "boots"), ("boots", 4, "boo…"), ("靴靴靴", 4, "靴…")]
)
def test_cut_fits(text: str, columns: int, shown: str) -> None:
    """A text that is too long ends in an ellipsis within its columns."""
    assert cut(text, columns) == shown


@pytest.mark.parametrize(("text", "shown"), [("a\x1b[31mb", "a [31mb"), ("a\nb\tc", "a b c"), ("a\u202eb\u2066", "ab")])
def test_clean_takes_the_power_from_signs(text: str, shown: str) -> None:
    """Escapes, line ends and turns of direction do not reach the terminal."""
    assert clean(text) == shown


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    """Numbers stand to the right, a column without any content goes."""
    lines = format_table(["n", "title", "brand"], [["1", "靴", ""], ["10", "boot", ""]], numbers=["n"])
    assert lines == [" n  title", " 1  靴", "10  boot"]


def test_the_flexible_column_gives_way() -> None:
    """Lines fit into the terminal as long as its text keeps a readable rest."""
    row = ["1", "a very long title of a boot", "brno/1"]
    lines = format_table(["n", "title", "product"], [row], flexible="title", columns=30)
    assert lines == ["n  title               product", "1  a very long title…  brno/1"]
    narrow = format_table(["n", "title", "product"], [row], flexible="title", columns=5)
    assert narrow[1] == "1  a very long…  brno/1"
