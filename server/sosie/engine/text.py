"""From a sentence to the tokens that a text encoder reads."""

import hashlib
import html
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import ftfy
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


def _mend(sentence: str) -> str:
    """Mojibake, curly quotes and entities put right, entities that were escaped twice too, and single blanks."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(sentence))).split())


def _join_surrogates(sentence: str) -> str:
    """Text that UTF-8 can hold: JSON's escapes and other languages' strings may bring halves of characters."""
    return sentence.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_UNPUNCTUATED = str.maketrans({"_": " "} | dict.fromkeys(string.punctuation.replace("_", ""), ""))

CLEANINGS: Mapping[str, Callable[[str], str]] = {
    "": lambda sentence: sentence,
    "whitespace": _mend,
    "lower": lambda sentence: _mend(sentence).lower(),
    "canonicalize": lambda sentence: " ".join(_mend(sentence).translate(_UNPUNCTUATED).lower().split()),
}
"""What is done to a sentence before it is cut into tokens, by TextInput.cleaning. The names and the steps are
open_clip's: its models were trained on sentences that had passed them."""


class Tokenizer:
    """A text encoder's tokenizer.json, made to cut and pad as the encoder wants it; safe to use from threads."""

    def __init__(self, source: bytes, text_input: TextInput) -> None:
        """Raises BackendError where `source` is not the tokenizer.json that the encoder was made with.

        So it does where the encoder asks for a cleaning that is not known here.
        """
        digest = hashlib.sha256(source).hexdigest()
        if digest != text_input.tokenizer_sha256:
            message = (
                f"the tokenizer has the SHA-256 digest {digest[:12]}…, the text encoder was made with "
                f"{text_input.tokenizer_sha256[:12]}…: use the tokenizer.json beside the served model"
            )
            raise BackendError(message)
        if text_input.cleaning not in CLEANINGS:
            raise BackendError(
                f"the text encoder wants its sentences cleaned by {text_input.cleaning!r}, which this version of sosie "
                "does not know: update it"
            )
        self._clean = CLEANINGS[text_input.cleaning]
        self._tokenizer = tokenizers.Tokenizer.from_buffer(source)
        self._tokenizer.enable_truncation(text_input.max_tokens)
        self._tokenizer.enable_padding(
            length=text_input.pad_to or None, pad_id=text_input.pad_id, direction=text_input.pad_side
        )

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
        """Token ids, int64 [n, length], padded to the longest sentence or to the encoder's fixed length.

        Takes any string. The slowest that are within MAX_SENTENCE, mojibake of mixed kinds, cost some 10 ms.
        """
        clean = [self._clean(_join_surrogates(sentence)) for sentence in sentences]
        if len(clean) == 1:  # a batch goes through a pool of threads, which one sentence is too little for
            return np.array([self._tokenizer.encode(clean[0]).ids], np.int64)
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(clean)], np.int64)
