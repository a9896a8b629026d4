"""Tokens and the words of a product."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import write_fake_tokenizer
from sosie.engine.errors import BackendError
from sosie.engine.inference import TextInput
from sosie.engine.text import CLEANINGS, Tokenizer, words_sentence


@pytest.fixture
def text_input(tmp_path: Path) -> TextInput:
    return TextInput(max_tokens=4, tokenizer_sha256=write_fake_tokenizer(tmp_path))


def test_pads_to_the_longest(tmp_path: Path, text_input: TextInput) -> None:
    """A batch is padded with zeros to its longest sentence and cut to what the encoder takes."""
    tokens = Tokenizer.find(tmp_path, text_input).encode(["red", "red green blue", "red " * 9])
    assert tokens.dtype == np.int64
    assert tokens.tolist() == [[2, 0, 0, 0], [2, 3, 4, 0], [2, 2, 2, 2]]


def test_pads_to_a_fixed_length(tmp_path: Path, text_input: TextInput) -> None:
    """An encoder of a fixed length gets that length."""
    tokens = Tokenizer.find(tmp_path, replace(text_input, pad_to=4)).encode(["red"])
    assert tokens.tolist() == [[2, 0, 0, 0]]


def test_pads_as_the_encoder_wants(tmp_path: Path, text_input: TextInput) -> None:
    """Padding is made of the encoder's own id, and stands where the encoder wants it."""
    left = replace(text_input, pad_id=7, pad_side="left")
    assert Tokenizer.find(tmp_path, left).encode(["red", "red green"]).tolist() == [[7, 2], [2, 3]]


@pytest.mark.parametrize(
    ("cleaning", "cleaned"),
    [
        ("", " RED &amp;amp; “green”_x  "),
        ("whitespace", 'RED & "green"_x'),
        ("lower", 'red & "green"_x'),
        ("canonicalize", "red green x"),
    ],
)
def test_cleanings(cleaning: str, cleaned: str) -> None:
    """Each cleaning mends entities, quotes and blanks, and does what its name says; none leaves a sentence alone."""
    assert CLEANINGS[cleaning](" RED &amp;amp; “green”_x  ") == cleaned


def test_sentences_are_cleaned(tmp_path: Path, text_input: TextInput) -> None:
    """A sentence is cleaned as the encoder says before it is cut into tokens."""
    assert Tokenizer.find(tmp_path, replace(text_input, cleaning="lower")).encode(["RED"]).tolist() == [[2]]
    assert Tokenizer.find(tmp_path, text_input).encode(["RED"]).tolist() != [[2]]


STRANGE = {
    "NUL": "red\0green",
    "half a character": "red \ud83d shoe \udfff",
    "two halves": "red \ud83d\ude00",
    "emoji": "\N{GRINNING FACE}" * 1024,
    "zero width": "\N{ZERO WIDTH SPACE}" * 1024,
    "direction": "\N{RIGHT-TO-LEFT OVERRIDE}der\N{POP DIRECTIONAL FORMATTING}",
    "one long word": "x" * 1024,
    "accents": "e" + "\N{COMBINING ACUTE ACCENT}" * 1023,
    "mojibake": " \x9dâÃ" * 256,
    "entities": "&#x110000;&#xd800;&amp;" * 40,
    "line ends": "\r\n" * 512,
}


@pytest.mark.parametrize("cleaning", CLEANINGS)
@pytest.mark.parametrize("kind", STRANGE)
def test_strange_sentences(tmp_path: Path, text_input: TextInput, cleaning: Any, kind: str) -> None:
    """Any string gives tokens, whatever the cleaning: halves of characters and NUL too."""
    tokenizer = Tokenizer.find(tmp_path, replace(text_input, cleaning=cleaning))
    assert tokenizer.encode([STRANGE[kind], "red"]).shape[0] == 2


def test_halves_are_joined(tmp_path: Path, text_input: TextInput) -> None:
    """Two halves of a character are that character."""
    tokenizer = Tokenizer.find(tmp_path, text_input)
    assert (tokenizer.encode(["red \ud83d\ude00"]) == tokenizer.encode(["red \N{GRINNING FACE}"])).all()


def test_an_unknown_cleaning_is_refused(tmp_path: Path, text_input: TextInput) -> None:
    """A cleaning that this version does not know is refused by name: the tokens would be other ones."""
    raw: Any = {**asdict(text_input), "cleaning": "stem"}
    with pytest.raises(BackendError, match="stem"):
        Tokenizer.find(tmp_path, TextInput(**raw))


def test_another_tokenizer_is_refused(tmp_path: Path, text_input: TextInput) -> None:
    """A tokenizer that the encoder was not made with is refused."""
    with pytest.raises(BackendError, match="SOSIE_MODELS"):
        Tokenizer.find(tmp_path, replace(text_input, tokenizer_sha256="0" * 64))
    with pytest.raises(BackendError, match="digest"):
        Tokenizer(b"{}", text_input)


def test_words_sentence() -> None:
    """Words hold title, brand, categories and attributes; a brand that the title names is not said twice."""
    said = words_sentence("Norden boot", "norden", ["Women", "Shoes"], {"sole": "rubber", "colour": "brown"})
    assert said == "Norden boot, Women, Shoes, colour brown, sole rubber"
    assert words_sentence("Boot", "", [], {}) == "Boot"
