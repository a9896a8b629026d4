"""What a picture's vector is made from, as digests: how a second run knows that nothing is left to do."""

import hashlib
from dataclasses import dataclass

from sosie.engine.inference import Encoder, ImageInput, TextInput

WORDS = "words"
"""The part that the shop's own words fill."""

_HALF = 32  # hexadecimal digits
_NO_WORDS = "0" * _HALF


@dataclass(frozen=True)
class Recipe:
    """How this run makes vectors: in which embedding space, from what inputs, and with or without the shop's words."""

    space: str
    image_input: ImageInput
    text_input: TextInput
    with_words: bool

    @classmethod
    def of(cls, encoder: Encoder, *, with_words: bool) -> "Recipe":
        """The recipe for an encoder; without words where its space has no part for them."""
        has_words = any(part.name == WORDS for part in encoder.space.parts)
        return cls(encoder.space.name, encoder.image_input, encoder.text_input, with_words and has_words)

    def content(self, picture: str, words: str) -> str:
        """Row.content, given the digest of the picture's file: a half for the picture, a half for the words."""
        image_half = _digest(self.space, repr(self.image_input), picture)
        return image_half + (_digest(self.space, repr(self.text_input), words) if self.with_words else _NO_WORDS)


def same_picture(content: str, other: str) -> bool:
    """Whether two rows' image parts are made from the same."""
    return content[:_HALF] == other[:_HALF]


def _digest(*pieces: str) -> str:
    digest = hashlib.blake2b(digest_size=_HALF // 2)
    for piece in pieces:
        raw = piece.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()
