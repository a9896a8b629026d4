"""Makes collections ready to be asked: finds the encoder and the tokenizer that speak their space."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sosie.engine.errors import BackendError
from sosie.engine.inference import Encoder
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore
from sosie.engine.text import Tokenizer
from sosie.indexer.opening import Backends, open_encoder
from sosie.indexer.target.answering import Collected


class CollectedOpener:
    """Opens collections one at a time.

    `encoder` is the run's own, and serves where it speaks their space. Without `with_sentences` no tokenizer is sought.
    """

    def __init__(
        self, *, backends: Backends, models: Path, encoder: Encoder, with_sentences: bool, timeout: float
    ) -> None:
        self._backends = backends
        self._models = models
        self._encoder = encoder
        self._with_sentences = with_sentences
        self._timeout = timeout

    @asynccontextmanager
    async def __call__(self, store: VectorStore, space: EmbeddingSpace) -> AsyncIterator[Collected | None]:
        """None where Triton serves no encoder of that space, or its tokenizer is not there. Raises EngineError."""
        if space.name == self._encoder.space.name:
            yield self._make(store, self._encoder)
            return
        async with open_encoder(self._backends, space.name, timeout=self._timeout) as encoder:
            try:
                collected = self._make(store, encoder) if encoder else None
            except BackendError:  # of models that are on their way out
                collected = None
            yield collected

    def _make(self, store: VectorStore, encoder: Encoder) -> Collected:
        tokenizer = Tokenizer.find(self._models, encoder.text_input) if self._with_sentences else None
        return Collected(store, encoder, tokenizer)
