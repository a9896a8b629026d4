"""Makes collections ready to be asked: finds the encoder and the tokenizer that speak their space."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sosie.engine.inference import Encoder
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore
from sosie.engine.text import Tokenizer
from sosie.indexer.opening import Backends, open_encoder
from sosie.indexer.target.answering import Collected


class CollectedOpener:
    """Opens collections one at a time. `encoder` is the run's own, and serves where it speaks their space."""

    def __init__(self, *, backends: Backends, models: Path, encoder: Encoder, timeout: float) -> None:
        self._backends = backends
        self._models = models
        self._encoder = encoder
        self._timeout = timeout

    @asynccontextmanager
    async def __call__(self, store: VectorStore, space: EmbeddingSpace) -> AsyncIterator[Collected | None]:
        """None where Triton serves no encoder of that space. Raises EngineError."""
        if space.name == self._encoder.space.name:
            yield self._make(store, self._encoder)
            return
        async with open_encoder(self._backends, space.name, timeout=self._timeout) as encoder:
            yield self._make(store, encoder) if encoder else None

    def _make(self, store: VectorStore, encoder: Encoder) -> Collected:
        return Collected(store, encoder, Tokenizer.find(self._models, encoder.text_input))
