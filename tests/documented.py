"""What the documentation shows: its pages, their console lines with the output beside them, their blocks of code."""

import re
import shlex
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CONTINUED = re.compile(r"\\\n *")


@dataclass(frozen=True)
class Shown:
    """A console line without its prompt, and what is shown as its output: nothing where the page leaves it out."""

    page: Path
    line: str
    output: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """The line's words up to the first pipe, redirection or end of a command; comments left out."""
        words = shlex.shlex(self.line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        return list(takewhile(lambda word: word.strip("|&;<>"), words))


def read_blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's fenced blocks of that language, without the fence's indentation."""
    blocks = [(len(indent), named, text) for indent, named, text in _BLOCK.findall(page.read_text())]
    return [
        re.sub(f"^ {{{indent}}}", "", text, flags=re.MULTILINE) for indent, named, text in blocks if named == language
    ]


def read_console(page: Path) -> list[Shown]:
    """The `$` lines of a page's console blocks; one that ends in a backslash goes on in the next line."""
    shown = []
    for block in read_blocks(page, "console"):
        for piece in re.split(r"^\$ ", _CONTINUED.sub("", block), flags=re.MULTILINE)[1:]:
            line, *output = piece.rstrip("\n").split("\n")
            shown.append(Shown(page.relative_to(ROOT), line, tuple(output)))
    return shown


def read_table(page: Path, header: str) -> list[list[str]]:
    """The rows below a table's header line, each cell without its blanks and backticks."""
    _, _, below = page.read_text().partition(f"{header}\n")
    rows = takewhile(lambda line: line.startswith("|"), below.splitlines()[1:])
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]
