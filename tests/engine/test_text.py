"""Tokens and the words of a product."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes import write_fake_tokenizer
from sosie.engine.errors import BackendError
from sosie.engine.inference import TextInput
from sosie.engine.text import Tokenizer, words_sentence


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
