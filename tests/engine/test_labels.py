"""Labels scored by their text."""

from pathlib import Path

import numpy as np
import pytest

from fakes import FakeEncoder, unit, write_fake_tokenizer
from sosie.engine.errors import BackendError
from sosie.engine.labels import label_sentences, score_labels
from sosie.engine.text import Tokenizer


async def test_score_labels(tmp_path: Path) -> None:
    """Labels score by their text against the picture; the scores sum to 1 and the nearest wins."""
    encoder = FakeEncoder(tokenizer_sha256=write_fake_tokenizer(tmp_path))
    tokenizer = Tokenizer.find(tmp_path, encoder.text_input)
    labels = ["red shoe", "blue hat", "green"]
    texts = await encoder.encode_texts(tokenizer.encode(label_sentences(encoder.space, labels)), timeout=1)
    picture = {"meaning": unit(texts["meaning"][1])}
    scores = score_labels(encoder.space, texts, picture)
    assert scores.sum() == pytest.approx(1, abs=1e-5)
    assert labels[int(scores.argmax())] == "blue hat"


def test_texts_without_the_part_for_labels() -> None:
    """Sentences that do not fill the part for labels are a fault of the set-up."""
    space = FakeEncoder().space
    with pytest.raises(BackendError, match="no 'meaning'"):
        score_labels(space, {"words": np.ones((1, 8), np.float32)}, {"meaning": np.ones(8, np.float32)})
