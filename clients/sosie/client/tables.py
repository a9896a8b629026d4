"""Tables and marks for people at a terminal."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

GAP = "  "
LEAST_WIDTH = 12
"""Columns of text are not cut below this, however narrow the terminal is."""

_STYLES = {"bold": "1", "dim": "2", "red": "31"}


def clean(text: str) -> str:
    """Text on one line, without what could steer a terminal: catalogs come from strangers."""
    return "".join(" " if unicodedata.category(sign) in {"Cc", "Zl", "Zp"} else sign for sign in text if _plain(sign))


def _plain(sign: str) -> bool:
    return sign not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"  # turns of writing direction


def width(text: str) -> int:
    """The terminal columns that a text takes: none for combining signs, two for wide East Asian ones."""
    return sum(
        0
        if unicodedata.category(sign) in {"Mn", "Me", "Cf"}
        else 2
        if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )


def cut(text: str, columns: int) -> str:
    """The text, its end replaced by an ellipsis where it takes more than `columns`."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def format_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    flexible: str = "",
    columns: int | None = None,
) -> list[str]:
    """Aligned lines, the header first; the columns named in `numbers` stand to the right.

    Columns that are empty in every row are left out. Where `columns` is given, the column `flexible` is cut so that
    lines fit into that many.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    kept = [index for index in range(len(header)) if any(row[index] for row in cells)]
    names = [header[index] for index in kept]
    body = [[row[index] for index in kept] for row in cells]
    widths = [max(width(row[column]) for row in [names, *body]) for column in range(len(names))]
    if columns is not None and flexible in names:
        column = names.index(flexible)
        excess = sum(widths) + len(GAP) * (len(widths) - 1) - columns
        widths[column] = max(LEAST_WIDTH, widths[column] - max(0, excess))
        body = [[cut(cell, widths[column]) if at == column else cell for at, cell in enumerate(row)] for row in body]
    return [
        GAP.join(
            " " * (size - width(cell)) + cell if name in numbers else cell + " " * (size - width(cell))
            for cell, size, name in zip(row, widths, names, strict=True)
        ).rstrip()
        for row in [names, *body]
    ]


def has_colours(stream: TextIO) -> bool:
    """Whether people look at it, and have not asked for plain text (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in a style ("bold", "dim", "red") if the stream, stdout unless given, shows colours."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if has_colours(stream or sys.stdout) else text


def terminal_columns() -> int | None:
    """How many columns a line may take; None where the output goes to a file or a program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
