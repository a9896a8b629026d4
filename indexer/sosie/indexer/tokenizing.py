"""The tokenizer of a run: that of its encoder, or none where no words are encoded."""

from collections.abc import Sequence
from pathlib import Path

from sosie.engine.inference import Encoder, Tokens
from sosie.engine.text import Tokenizer
from sosie.indexer.embedding import Tokenize
from sosie.indexer.recipe import WORDS


def open_tokenizer(models: Path, encoder: Encoder, *, with_words: bool) -> Tokenize:
    """The encoder's, from the repository `models`; raises as Tokenizer.find does."""
    if with_words and any(part.name == WORDS for part in encoder.space.parts):
        return Tokenizer.find(models, encoder.text_input)
    return _NoTokenizer()


class _NoTokenizer:
    """Stands where no words are encoded."""

    def encode(self, sentences: Sequence[str]) -> Tokens:
        raise AssertionError(f"a run without words is asked to encode {len(sentences)} sentences")
