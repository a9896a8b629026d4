"""Sentences of letters that text is broken with: each gives tokens, whatever the cleaning."""

from pathlib import Path
from typing import Any

import pytest

from fakes import write_fake_tokenizer
from fuzz.seeds import choose_seeds, start
from sosie.engine.inference import TextInput
from sosie.engine.text import CLEANINGS, MAX_SENTENCE, Tokenizer

SHARE = 0.05
LETTERS = (
    "âÃ€œ™Â\xa0ðŸ˜éß\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}&;#x\x80\x9d\0\x1b<>\"'% ae\r\n"
    "\N{ZERO WIDTH SPACE}\N{COMBINING ACUTE ACCENT}\N{RIGHT-TO-LEFT OVERRIDE}\N{GRINNING FACE}\ud83d\udfff"
)


def draw(seed: int) -> str:
    """A sentence of MAX_SENTENCE characters, of any order or of a few again and again."""
    rng = start("sentence", seed)
    length = rng.choice((MAX_SENTENCE, rng.randrange(1, 8)))
    return ("".join(rng.choices(LETTERS, k=length)) * MAX_SENTENCE)[:MAX_SENTENCE]


@pytest.mark.slow
@pytest.mark.parametrize("cleaning", CLEANINGS)
def test_broken_sentences(tmp_path: Path, cleaning: Any) -> None:
    """Any sentence gives tokens."""
    text_input = TextInput(max_tokens=16, tokenizer_sha256=write_fake_tokenizer(tmp_path), cleaning=cleaning)
    tokenizer = Tokenizer.find(tmp_path, text_input)
    for seed in choose_seeds(SHARE / len(CLEANINGS), ()):
        try:
            assert tokenizer.encode([draw(seed)]).shape[0] == 1
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
