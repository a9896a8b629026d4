"""docs/feeds.md says what `sosie crawl feed` does."""

import argparse
import json
from pathlib import Path

import pytest

from documented import ROOT, read_blocks, read_console, read_table
from sosie.crawler.feeds import feed_command
from sosie.crawler.feeds.elements import MAX_ELEMENT
from sosie.crawler.feeds.formats import Format
from sosie.crawler.feeds.lines import MAX_LINE

PAGE = ROOT / "docs" / "feeds.md"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    feed_command.add_arguments(parser)
    return parser


def test_the_documented_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The feed that the page shows gives what the page shows, and the picture beside it."""
    monkeypatch.chdir(tmp_path)
    (feed,) = read_blocks(PAGE, "xml")
    Path("north.xml").write_text(feed)
    (shown,) = (shown for shown in read_console(PAGE) if shown.words[:3] == ["sosie", "crawl", "feed"])
    assert feed_command.run(make_parser().parse_args(shown.words[3:])) == 0
    assert tuple(capsys.readouterr().out.splitlines()) == shown.output
    (picture,) = read_blocks(PAGE, "json")
    assert json.loads(Path("north.catalog.jsonl").read_text())["pictures"] == [json.loads(picture)]


def test_options() -> None:
    """The page's table has every option of the command with its default, and no other."""
    documented = {row[0].strip("`").split()[0] for row in read_table(PAGE, "| option | default | |")}
    options = {name for action in make_parser()._actions for name in action.option_strings if name.startswith("--")}
    assert documented == options - {"--help"}


def test_formats() -> None:
    """The page's table has every format that the option takes, which are all that there are."""
    documented = {row[0].strip("`") for row in read_table(PAGE, "| `--format` | told by | what is read |")}
    assert documented == set(Format) == set(feed_command.FORMATS)


def test_bounds() -> None:
    """The page states the bounds of elements and lines."""
    assert f"{MAX_ELEMENT:,}" in PAGE.read_text()
    assert f"{MAX_LINE:,}" in PAGE.read_text()
