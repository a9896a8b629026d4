"""The documentation shows commands that exist, with options that exist."""

import argparse
import contextlib
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from documented import PAGES, ROOT, read_console

COMMANDS = {command.name: command for command in sorted(entry_points(group="sosie.commands"))}
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
SHOWN = [(shown.page, shown.words) for page in PAGES for shown in read_console(page)]


def parser_of(command: EntryPoint) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"sosie {command.name}")
    command.load().add_arguments(parser)
    return parser


@pytest.mark.parametrize(("page", "words"), [shown for shown in SHOWN if shown[1][0] == "sosie" and shown[1][1:]])
def test_shown_command_exists(page: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every `sosie` line in the documentation is taken by its command's own parser."""
    _, name, *arguments = words
    if name == "--help":
        return
    assert name in COMMANDS, f"{page} shows a command that does not exist: {shlex.join(words)}"
    with contextlib.suppress(SystemExit):  # how argparse ends after --help, and after a complaint
        parser_of(COMMANDS[name]).parse_args(arguments)
    assert capsys.readouterr().err == "", f"{page} shows: {shlex.join(words)}"


@pytest.mark.parametrize(("page", "words"), [shown for shown in SHOWN if shown[1][0].startswith("scripts/")])
def test_shown_script_exists(page: Path, words: list[str]) -> None:
    """Every script in the documentation's console blocks is there and executable."""
    assert os.access(ROOT / words[0], os.X_OK), f"{page} shows {words[0]}"


def test_every_command_is_shown() -> None:
    """Every command of sosie appears in a console block of the documentation."""
    assert COMMANDS.keys() - {words[1] for _, words in SHOWN if words[0] == "sosie" and words[1:]} == set()


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the documentation leads to a file that is there, and to a heading that it has."""
    for place, heading in LINK.findall(page.read_text()):
        target = page.parent / place if place else page
        assert target.exists(), f"{page.name} links to {place}"
        assert not heading or heading in headings(target), f"{page.name} links to {place}#{heading}"


def test_every_page_is_listed() -> None:
    """README.md leads to every page of docs/."""
    linked = {ROOT / place for place, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert set(PAGES[1:]) - linked == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str) -> None:
    """`--help` of every command explains it with the line that `sosie --help` shows."""
    sosie = Path(sys.executable).with_name("sosie")
    shown = subprocess.run([sosie, name, "--help"], check=False, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"usage: sosie {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_interface(name: str, project: dict[str, Any]) -> None:
    """Every command has one line of help, and names the extra that installs it."""
    module = COMMANDS[name].load()
    assert module.HELP
    assert "\n" not in module.HELP
    assert module.EXTRA is None or module.EXTRA in project["project"]["optional-dependencies"]
    assert callable(module.add_arguments)
    assert callable(module.run)
