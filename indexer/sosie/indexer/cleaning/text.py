"""Text as shops write it, brought to one form: what looks the same becomes the same."""

import re
import unicodedata

_ODD_BLANKS = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800"
_LINE_ENDS = "\r\n\v\f\x1c-\x1e\u0085\u2028\u2029"
# Control characters, byte order marks, soft hyphens, zero-width blanks, and marks of the direction of writing. The
# zero-width joiners U+200C and U+200D stay: Persian, Indic scripts and emoji are written with them.
_UNSEEN = (
    "\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad"
    "\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
)

_UNSEEN_PATTERN = re.compile(f"[{_UNSEEN}]")
_BLANKS = re.compile(f"[ \t{_ODD_BLANKS}{_LINE_ENDS}]+")
_BLANKS_IN_LINE = re.compile(f"[ \t{_ODD_BLANKS}]+")
_LINE_END = re.compile(rf" ?(?:\r\n|[{_LINE_ENDS}]) ?")
_MANY_LINE_ENDS = re.compile(r"\n{3,}")
_MARKS = str.maketrans("", "", "™®©℠")
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")


def tidy(text: str) -> str:
    r"""The text on one line: in Unicode's form NFC, with single blanks and nothing that cannot be seen.

    >>> tidy(" Cafe\u0301\u00a0 noir\u200b ")
    'Café noir'
    """
    if _PLAIN.fullmatch(text):  # most are
        return text
    return _BLANKS.sub(" ", _compose(text)).strip()


def tidy_lines(text: str) -> str:
    r"""The same for a text of several lines; at most one line in a row is empty.

    >>> tidy_lines("Soft.\r\n\r\n\r\n\r\n Warm\u00a0. ")
    'Soft.\n\nWarm .'
    """
    if _PLAIN.fullmatch(text):
        return text
    lines = _LINE_END.sub("\n", _BLANKS_IN_LINE.sub(" ", _compose(text)))
    return _MANY_LINE_ENDS.sub("\n\n", lines).strip()


def fold(text: str) -> str:
    """What two spellings have in common: for comparing, never for showing.

    Letter case, wide and ligature forms (NFKC) and the marks ™ ® © ℠ make no difference.

    >>> fold("ADIDAS® Originals") == fold("adidas  originals")
    True
    """
    return tidy(unicodedata.normalize("NFKC", text.translate(_MARKS)).casefold())


def _compose(text: str) -> str:
    """Form NFC, once nothing unseen stands between a letter and its accents."""
    return unicodedata.normalize("NFC", _UNSEEN_PATTERN.sub("", text))
