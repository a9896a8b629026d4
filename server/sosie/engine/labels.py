"""Labels scored by their text against a picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sosie.engine.errors import BackendError
from sosie.engine.space import EmbeddingSpace, Parts


def label_sentences(space: EmbeddingSpace, labels: Sequence[str]) -> list[str]:
    """Each label as the sentence that the space puts it into, e.g. "a photo of a boot"."""
    return [space.label_prompt.replace("{}", label) for label in labels]


def score_labels(space: EmbeddingSpace, texts: Parts, picture: Parts) -> npt.NDArray[np.float32]:
    """Probabilities [labels] that sum to 1: the softmax of the scaled cosines of each label's text and the picture.

    `texts` holds the vectors [labels, size] of the labels' sentences, `picture` those [size] of one picture. Raises
    BackendError where the sentences do not fill the space's part for labels.
    """
    if space.label_part not in texts:
        raise BackendError(f"the text encoder of {space.name} gives no {space.label_part!r}: no labels can be scored")
    logits = texts[space.label_part] @ picture[space.label_part] * np.float32(space.label_scale)
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), np.float32)
