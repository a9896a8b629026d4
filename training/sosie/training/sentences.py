"""Runs a sentence encoder's graph over many sentences, as is needed while models are made."""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from sosie.training.heads import Floats
from sosie.training.minilm import MAX_TOKENS
from sosie.training.sessions import open_session

BATCH = 32


def encode_sentences(graph: bytes, tokenizer: bytes, sentences: Sequence[str], *, output: str = "words") -> Floats:
    """The unit vectors, [n, size], of sentences; `graph` is a text encoder's ONNX file."""
    return run_sentences(open_session(graph), tokenizer, sentences, output=output)


def run_sentences(
    session: onnxruntime.InferenceSession, tokenizer: bytes, sentences: Sequence[str], *, output: str = "words"
) -> Floats:
    """As `encode_sentences`, with a session that is open already."""
    encodings = open_tokenizer(tokenizer).encode_batch(list(sentences))
    # Sentences of like length share a batch, so that little is spent on padding.
    order = sorted(range(len(encodings)), key=lambda place: len(encodings[place].ids))
    vectors: dict[int, Floats] = {}
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        tokens = np.zeros((len(places), len(encodings[places[-1]].ids)), np.int64)
        for row, place in enumerate(places):
            tokens[row, : len(encodings[place].ids)] = encodings[place].ids
        vectors.update(zip(places, session.run([output], {"tokens": tokens})[0], strict=True))
    return np.stack([vectors[place] for place in range(len(sentences))])


def open_tokenizer(data: bytes) -> Tokenizer:
    """The tokenizer in a tokenizer.json; it cuts at MAX_TOKENS and does not pad."""
    tokenizer = Tokenizer.from_str(data.decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer
