"""Texts as pages and feeds hold them, brought to plain ones."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

_ODD_BLANKS = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800"
_LINE_ENDS = "\r\n\v\f\x1c-\x1e\u0085\u2028\u2029"
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_BLANKS = re.compile(f"[ \t{_ODD_BLANKS}{_LINE_ENDS}]+")
_BLANKS_IN_LINE = re.compile(f"[ \t{_ODD_BLANKS}]+")
_LINE_END = re.compile(rf" ?(?:\r\n|[{_LINE_ENDS}]) ?")
_MANY_LINE_ENDS = re.compile(r"\n{3,}")


def _is_tidy(text: str) -> bool:
    """Whether there is nothing to be done, told by what is quick in C; of blanks only the plain one is printable."""
    return (
        text.isprintable()
        and "  " not in text
        and "\u2800" not in text
        and text == text.strip()
        and unicodedata.is_normalized("NFC", text)
    )


def tidy(text: str) -> str:
    r"""The text on one line, in Unicode's form NFC, with single blanks and nothing that cannot be seen.

    >>> tidy(" Cafe\u0301\u00a0\n noir\u200b ")
    'Café noir'
    """
    if _is_tidy(text):  # most are
        return text
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", _UNSEEN.sub("", text))).strip()


def tidy_lines(text: str) -> str:
    r"""The same for a text of several lines; at most one line in a row is empty.

    >>> tidy_lines("Soft.\r\n\r\n\r\n\r\n Warm . ")
    'Soft.\n\nWarm .'
    """
    if _is_tidy(text):
        return text
    lines = _BLANKS_IN_LINE.sub(" ", unicodedata.normalize("NFC", _UNSEEN.sub("", text)))
    return _MANY_LINE_ENDS.sub("\n\n", _LINE_END.sub("\n", lines)).strip()


def shorten(text: str, most: int) -> str:
    """The text itself, or its beginning to the last blank before `most` characters.

    >>> shorten("soft and warm", 10)
    'soft and…'
    """
    if len(text) <= most:
        return text
    kept = text[:most]
    return (kept.rsplit(None, 1)[0] if " " in kept[most // 2 :] else kept[:-1]) + "…"


def texts_of(value: Any) -> Iterator[str]:
    """Each scalar of a JSON value as a text; of objects nothing, since no field is one."""
    if isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float):
        yield str(value) if abs(value) < _LARGE else ""
    elif isinstance(value, list):
        for each in value[:_MOST]:
            if not isinstance(each, list):
                yield from texts_of(each)


_LARGE = 10**300  # the text of a longer number takes quadratic time, and Python refuses it
_MOST = 1000  # texts of one value
