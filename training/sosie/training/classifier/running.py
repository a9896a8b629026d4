"""Runs a network over pictures without learning from them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from sosie.engine.inference import Pictures
from sosie.training.classifier.backbones import Classifier
from sosie.training.classifier.dataset import Places
from sosie.training.errors import ClassifierError
from sosie.training.heads import Floats

EVALUATION_BATCH = 32
TOLD_EVERY = 30.0
"""Seconds between two lines about how far it is."""


def predict(model: Classifier, pictures: Pictures, places: Places) -> Floats:
    """The logits [n, labels] of the pictures at some places."""
    return _run(model, model, pictures, places)


def encode(
    model: Classifier, pictures: Pictures, places: Places, tell: Callable[[str], None] = lambda _: None
) -> Floats:
    """The features [n, size] of the pictures at some places."""
    return _run(model, model.encode, pictures, places, tell)


def _run(
    model: Classifier,
    compute: Callable[[torch.Tensor], torch.Tensor],
    pictures: Pictures,
    places: Places,
    tell: Callable[[str], None] = lambda _: None,
) -> Floats:
    model.eval()
    device = next(model.parameters()).device
    rows, told = [], time.monotonic()
    with torch.inference_mode():
        for start in range(0, len(places), EVALUATION_BATCH):
            batch = torch.from_numpy(pictures[places[start : start + EVALUATION_BATCH]]).to(device)
            rows.append(compute(batch).float().cpu().numpy())
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                tell(f"{start + len(batch):,} of {len(places):,} pictures")
    result: Floats = np.concatenate(rows)
    return result


@contextmanager
def explain_memory(batch_size: int) -> Iterator[None]:
    """Turns running out of memory into a ClassifierError that says which batch size to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch tells of its own memory on the processor in words alone.
        said = str(error).lower()
        known = isinstance(error, MemoryError | torch.OutOfMemoryError) or "alloc" in said or "out of memory" in said
        if not known:
            raise
        smaller = max(batch_size // 2, 1)
        advice = f"try --batch-size {smaller}" if smaller < batch_size else "take a smaller --backbone or --train-size"
        raise ClassifierError(f"out of memory with batches of {batch_size} pictures; {advice}") from error
