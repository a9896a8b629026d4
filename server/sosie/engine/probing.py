"""Whether models answer: each is made to compute something real."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sosie.engine.errors import BackendOverloadedError, EngineError
from sosie.engine.inference import Classifier, Encoder, blank_pictures


@dataclass(frozen=True)
class Health:
    """What each model that does not answer raised: encoders by their space's name, classifiers by their label set's."""

    encoders: Mapping[str, EngineError] = field(default_factory=dict)
    classifiers: Mapping[str, EngineError] = field(default_factory=dict)

    @property
    def problem(self) -> EngineError | None:
        """One of the errors; None where all answered."""
        return next(iter([*self.encoders.values(), *self.classifiers.values()]), None)


async def probe(encoders: Mapping[str, Encoder], classifiers: Mapping[str, Classifier], *, timeout: float) -> Health:
    """Asks all of them side by side, each within `timeout` seconds. One that is too busy to answer is not sick."""
    sick_encoders, sick_classifiers = await asyncio.gather(
        _collect({name: _encoder_probe(encoder, timeout) for name, encoder in encoders.items()}),
        _collect({name: _classifier_probe(classifier, timeout) for name, classifier in classifiers.items()}),
    )
    return Health(sick_encoders, sick_classifiers)


async def _collect(probes: Mapping[str, Callable[[], Awaitable[object]]]) -> dict[str, EngineError]:
    errors = await asyncio.gather(*(_catch(ask) for ask in probes.values()))
    return {name: error for name, error in zip(probes, errors, strict=True) if error is not None}


async def _catch(ask: Callable[[], Awaitable[object]]) -> EngineError | None:
    try:
        await ask()
    except BackendOverloadedError:
        return None
    except EngineError as error:
        return error
    return None


def _encoder_probe(encoder: Encoder, timeout: float) -> Callable[[], Awaitable[object]]:
    async def ask() -> None:
        deadline = time.monotonic() + timeout
        await encoder.encode_images(blank_pictures(encoder.image_input), timeout=timeout)
        text_input = encoder.text_input
        tokens = np.full((1, text_input.pad_to or 1), 1 if text_input.pad_id != 1 else 0, np.int64)
        await encoder.encode_texts(tokens, timeout=deadline - time.monotonic())

    return ask


def _classifier_probe(classifier: Classifier, timeout: float) -> Callable[[], Awaitable[object]]:
    return lambda: classifier.classify(blank_pictures(classifier.image_input), timeout=timeout)
