"""From a sentence to the tokens that a text encoder reads."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import tokenizers

from sosie.engine.errors import BackendError
from sosie.engine.inference import TextInput, Tokens

MAX_SENTENCE = 1024
"""Characters in a question's sentence."""


def words_sentence(title: str, brand: str, category_path: Sequence[str], attributes: Mapping[str, str]) -> str:
    """What a shop says of a product, as the one sentence that its `words` part is made of.

    >>> words_sentence("Suede boot", "Norden", ["Women", "Shoes"], {"colour": "brown"})
    'Suede boot, Norden, Women, Shoes, colour brown'
    """
    said = [title, *([brand] if brand.casefold() not in title.casefold() else []), *category_path]
    said += [f"{name} {value}" for name, value in sorted(attributes.items())]
    return ", ".join(text for text in said if text)


class Tokenizer:
    """A text encoder's tokenizer.json, made to cut and pad as the encoder wants it; safe to use from threads."""

    def __init__(self, source: bytes, text_input: TextInput) -> None:
        """Raises BackendError where `source` is not the tokenizer.json that the encoder was made with."""
        digest = hashlib.sha256(source).hexdigest()
        if digest != text_input.tokenizer_sha256:
            message = (
                f"the tokenizer has the SHA-256 digest {digest[:12]}…, the text encoder was made with "
                f"{text_input.tokenizer_sha256[:12]}…: use the tokenizer.json beside the served model"
            )
            raise BackendError(message)
        self._tokenizer = tokenizers.Tokenizer.from_buffer(source)
        self._tokenizer.enable_truncation(text_input.max_tokens)
        self._tokenizer.enable_padding(length=text_input.pad_to or None, pad_id=0)

    @classmethod
    def find(cls, repository: Path, text_input: TextInput) -> Self:
        """The tokenizer.json of a model repository's model that the encoder was made with.

        Raises BackendError where there is none.
        """
        for path in sorted(repository.glob("*/tokenizer.json")):
            source = path.read_bytes()
            if hashlib.sha256(source).hexdigest() == text_input.tokenizer_sha256:
                return cls(source, text_input)
        raise BackendError(
            f"no */tokenizer.json under {repository} has the SHA-256 digest {text_input.tokenizer_sha256[:12]}… that "
            "the text encoder was made with: point --models (SOSIE_MODELS) at the served model repository or its copy"
        )

    def encode(self, sentences: Sequence[str]) -> Tokens:
        """Token ids, int64 [n, length], padded with 0 to the longest sentence or to the encoder's fixed length."""
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(list(sentences))], np.int64)
