"""How texts are brought to one form."""

import random
import unicodedata

from sosie.crawler import texts

LETTERS = "ab é\u0301е\u00a0\u200b\u2800\u3000 \n\t\u00ad\ud800\N{GRINNING FACE}\ufeff\u2028"


def tidy_slowly(text: str) -> str:
    return texts._BLANKS.sub(" ", unicodedata.normalize("NFC", texts._UNSEEN.sub("", text))).strip()


def test_short_cut() -> None:
    """A text that is taken for tidy at a glance is one that the long way would not change, whatever its letters."""
    rng = random.Random(1)
    drawn = ["".join(rng.choices(LETTERS, k=rng.randrange(6))) for _ in range(5000)]
    every = [f"a{chr(code)}b" for code in range(0x3100)]
    assert [text for text in drawn + every if texts.tidy(text) != tidy_slowly(text)] == []


def test_lines_stay() -> None:
    """A text of several lines keeps them, and at most one empty line in a row."""
    assert texts.tidy_lines(" Мягкие \r\n\n\n\n ботинки\u2028тёплые ") == "Мягкие\n\nботинки\nтёплые"
