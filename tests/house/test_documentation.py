"""The documentation shows commands that exist, with options that exist."""

import argparse
import contextlib
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {command.name: command for command in sorted(entry_points(group="sosie.commands"))}
CONSOLE = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def words_of(line: str) -> list[str]:
    """The words of a shell line up to the first pipe, redirection or end of a command; comments left out."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return list(takewhile(lambda word: word.strip("|&;<>"), words))


def shown_commands(page: Path) -> list[list[str]]:
    """The `$` lines of a page's console blocks; one that ends in a backslash goes on in the next line."""
    blocks = "".join(CONSOLE.findall(page.read_text())).replace("\\\n", " ")
    return [words_of(line.strip()[2:]) for line in blocks.splitlines() if line.strip().startswith("$ ")]


SHOWN = [(page.relative_to(ROOT), words) for page in PAGES for words in shown_commands(page)]


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
