"""tokenizer.json against open_clip's own tokenizers, sentence by sentence."""

import sosie.training.torchvision_on_cpu  # noqa: F401  # open_clip imports torchvision

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest

from sosie.engine.errors import BackendError
from sosie.engine.text import Tokenizer
from sosie.training.clip import loading, sources
from sosie.training.clip.sentences import SENTENCES
from sosie.training.clip.tokenizer import TokenizerFile, check_tokenizer, export_tokenizer
from sosie.training.errors import VerificationError, WeightsError
from tiny_clip import write_multilingual, write_siglip

FUZZED = 4000
PIECES = (
    *("&amp;", "&lt;", "&amp;amp;", "&#39;", "&#x1F600;", "&nbsp;", "&", ";", "'s", "'T", "'LL", "'ſ", "’re", "“", "”"),
    *("<start_of_text>", "<end_of_text>", "<END_OF_TEXT>", "</w>", "</s>", "<pad>", "[SEP]", "Σ", "Σ ", "İ", "ı", "ẞ"),
    *("Ã©", "â€œ", "Ð\x9f", "\u0301", "\u0345", "\u200d", "\u200b", "\ufeff", "\u00ad", "🎉", "👩‍👧", "🇫🇷", "5️⃣", "ﬁ"),
    *("\x00", "\x07", "\x1b[31m", "\x1c", "\x85", "\u2028", "\t", "\n", "  ", "½", "Ⅷ", "٣", "१", "Й", "й", "手", "▁"),
)
BLOCKS = ((32, 127), (128, 0x250), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0x1E00, 0x3000), (0x1F300, 0x1FB00))


def fuzz(seed: int, count: int) -> list[str]:
    """Sentences of anything: known traps, letters of many scripts, any character that there is."""
    rng = random.Random(seed)

    def piece() -> str:
        kind = rng.random()
        if kind < 0.3:
            return chr(rng.randrange(*BLOCKS[0]))
        if kind < 0.45:
            return rng.choice(PIECES)
        if kind < 0.6:
            return " "
        if kind < 0.9:
            return chr(rng.randrange(*rng.choice(BLOCKS)))
        code = rng.randrange(0x110000 - 0x800)
        return chr(code if code < 0xD800 else code + 0x800)  # surrogates are no characters

    return ["".join(piece() for _ in range(rng.randrange(1, 60))) for _ in range(count)]


def find_mismatches(tokenizer: Any, file: TokenizerFile, sentences: Sequence[str]) -> Iterator[str]:
    """The sentences for which the engine's tokens differ from open_clip's."""
    expected = tokenizer(list(sentences)).numpy()
    found = Tokenizer(file.data, file.text_input).encode(sentences)
    yield from (sentence for sentence, a, b in zip(sentences, expected, found, strict=True) if not np.array_equal(a, b))


@pytest.fixture(scope="module")
def clip() -> tuple[Any, TokenizerFile]:
    """CLIP's tokenizer, and its file."""
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    return tokenizer, export_tokenizer(tokenizer)


def test_hard_sentences(clip: tuple[Any, TokenizerFile]) -> None:
    """Emoji, Cyrillic, entities, marks, mojibake and long sentences get open_clip's very ids."""
    assert list(find_mismatches(*clip, SENTENCES)) == []
    check_tokenizer(*clip)


def test_fuzzed_sentences(clip: tuple[Any, TokenizerFile]) -> None:
    """Sentences of anything get open_clip's very ids, without an exception."""
    assert list(find_mismatches(*clip, fuzz(1, FUZZED))) == []


def test_every_character(clip: tuple[Any, TokenizerFile]) -> None:
    """Letters, digits, signs and marks of all scripts get their ids after a letter, a digit and an apostrophe."""
    codes = (*range(0x3000), *range(0x3000, 0x110000, 41))
    taken = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    lines = ["".join(f"a{letter}1{letter}'{letter}" for letter in taken[at : at + 6]) for at in range(0, len(taken), 6)]

    assert list(find_mismatches(*clip, lines)) == []


def test_long_sentences_keep_their_end(clip: tuple[Any, TokenizerFile]) -> None:
    """A sentence of more than 77 tokens is cut so that its last token is the end, as the text tower needs it."""
    tokenizer, file = clip
    (row,) = Tokenizer(file.data, file.text_input).encode(["red " * 200])

    assert (len(row), row[0], row[-1]) == (77, tokenizer.sot_token_id, tokenizer.eot_token_id)
    assert file.text_input.cleaning == "lower"


def test_another_tokenizer_is_noticed(clip: tuple[Any, TokenizerFile]) -> None:
    """A file that gives other ids fails the check with a sentence; one of another digest is refused by the engine."""
    tokenizer, file = clip

    with pytest.raises(VerificationError, match=r"of \d+ sentences"):
        check_tokenizer(tokenizer, replace(file, text_input=replace(file.text_input, cleaning="")))
    with pytest.raises(BackendError, match="digest"):
        Tokenizer(file.data + b"\n", file.text_input)


@pytest.mark.parametrize("cleaning", ["whitespace", "canonicalize"])
def test_other_cleanings(cleaning: str) -> None:
    """open_clip's other ways of cleaning keep their ids, but for special tokens that a sentence spells out."""
    tokenizer = open_clip.tokenizer.SimpleTokenizer(clean=cleaning)
    plain = [sentence for sentence in (*SENTENCES, *fuzz(2, 500)) if "_of_text>" not in sentence.lower()]

    assert list(find_mismatches(tokenizer, export_tokenizer(tokenizer), plain)) == []


def test_a_tokenizer_of_chance_is_refused() -> None:
    """A tokenizer that drops words by chance has no file."""
    with pytest.raises(WeightsError, match="by chance"):
        export_tokenizer(open_clip.tokenizer.SimpleTokenizer(reduction_mask="random"))


@pytest.mark.parametrize("write", [write_multilingual, write_siglip])
def test_tokenizers_of_hugging_faces(write: Any, tmp_path: Path) -> None:
    """Multilingual tokenizers keep their ids, with their own padding, end and cleaning."""
    loaded = loading.load(sources.find_origin(sources.Wanted(folder=write(tmp_path), random=True), print))
    file = export_tokenizer(loaded.tokenizer)

    assert list(find_mismatches(loaded.tokenizer, file, (*SENTENCES, *fuzz(3, 1000)))) == []
    assert file.text_input.pad_id == loaded.tokenizer.tokenizer.pad_token_id
    (row,) = Tokenizer(file.data, file.text_input).encode(["красная сумка"])
    assert row[-1] == file.text_input.pad_id


def test_a_stripped_token(tmp_path: Path) -> None:
    """Where open_clip takes the separator out of the ids, the file says which: the text tower reads it as 0."""
    folder = write_multilingual(tmp_path)
    tokenizer = open_clip.tokenizer.HFTokenizer(str(folder), context_length=20, strip_sep_token=True, sep_token="</s>")  # noqa: S106  # not a password
    file = export_tokenizer(tokenizer)

    assert file.stripped == 2
    check_tokenizer(tokenizer, file)
