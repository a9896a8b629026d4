"""docs/catalogs.md says what the code says."""

import argparse
import json
import re
from pathlib import Path

import pytest

from documented import ROOT, read_blocks, read_table
from indexer_fixtures import make_product
from sosie.indexer.checking import check_command
from sosie.indexer.checking.prices import HIGH, LEAST
from sosie.indexer.checking.summary import Summary
from sosie.indexer.checking.verdicts import Verdict
from sosie.indexer.reading.files import KINDS, OWN, Format
from sosie.indexer.reading.lines import MAX_LINE_BYTES
from sosie.indexer.reporting.exit_status import TOO_MANY_REJECTS

PAGE = ROOT / "docs" / "catalogs.md"
TEXT = PAGE.read_text()


def test_formats() -> None:
    """The table has every format, and the text every ending that a folder's files may have or that is passed over."""
    assert {name.rpartition(", ")[2] for name, _, _ in read_table(PAGE, "| format | told by | what is read |")} == set(
        Format
    )
    assert set(re.findall(r"\.[a-z]+", KINDS)) == {".jsonl", ".ndjson", ".gz", ".zst", ".parquet"}
    for ending in (*re.findall(r"\.[a-z]+", KINDS), *OWN):
        assert f"`{ending}`" in TEXT
    assert f"lines of at most {MAX_LINE_BYTES // 2**20} MiB" in TEXT


def test_verdicts() -> None:
    """The table of verdicts has all of them, from the best to the worst."""
    assert [name for name, _ in read_table(PAGE, "| verdict | an indexing would |")] == list(Verdict)


def test_reasons() -> None:
    """The table of reasons names verdicts that there are, and the bounds by which prices are judged."""
    table = read_table(PAGE, "| reason | verdict | what was found |")
    assert {verdict for _, verdict, _ in table} == set(Verdict) - {"ok"}
    found = {reason: what for reason, _, what in table}
    assert found["price high"].startswith(f"{HIGH} times")
    assert f"fewer than {LEAST} prices" in TEXT


def test_options() -> None:
    """The table of options has every option of the command and no other, with its default."""
    parser = argparse.ArgumentParser()
    check_command.add_arguments(parser)
    actions = {name: action for action in parser._actions for name in action.option_strings if name.startswith("--")}
    rows = read_table(PAGE, "| option | default | |")
    table = {row[0].partition(" ")[0]: row[-2] for row in rows}  # a cell may hold a bar
    assert set(table) == set(actions) - {"--help"}
    for name in ("--max-rejects", "--merge", "--near-duplicates"):
        assert table[name] == actions[name].default


def test_exit_statuses() -> None:
    """The table of exit statuses is that of --help."""
    parser = argparse.ArgumentParser()
    check_command.add_arguments(parser)
    told = dict(re.findall(r"^  (\d)  (.+)$", parser.epilog or "", re.MULTILINE))
    table = dict(read_table(PAGE, "| exit status | means |"))
    assert list(table) == list(told) == ["0", "1", "2", str(TOO_MANY_REJECTS)]
    assert (table["0"], table["3"]) == (told["0"], told["3"])


def test_the_verdict_that_is_shown(tmp_path: Path) -> None:
    """The line of the verdicts' file that the page shows has the fields, and the words, of one."""
    (shown,) = map(json.loads, read_blocks(PAGE, "json"))
    catalog = tmp_path / "catalog.jsonl"
    product = {**make_product(), "shop": shown["shop"], "product_id": shown["product_id"]}
    product["price"] = {"currency_code": "EUR"}
    catalog.write_text("\n" * (shown["line"] - 1) + json.dumps(product))
    parser = argparse.ArgumentParser()
    check_command.add_arguments(parser)
    assert check_command.run(parser.parse_args([str(catalog)])) == 0
    assert json.loads((tmp_path / "catalog.check.jsonl").read_text()) == shown


@pytest.mark.parametrize("verdict", Verdict)
def test_the_table_that_is_shown_has_all_verdicts(verdict: Verdict) -> None:
    """The example has a line for each verdict, in the order in which a summary has them."""
    (example,) = read_blocks(PAGE, "text")
    assert re.search(rf"^{verdict} +\d+$", example, re.MULTILINE)
    assert list(Summary().as_dict(lambda category: [])["verdicts"]) == list(Verdict)
