"""What the gateway leans on, Triton and Milvus, watched so that questions are told at once when they are away."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sosie.engine.errors import (
    BackendError,
    BackendOverloadedError,
    BackendUnavailableError,
    EngineError,
    NoIndexError,
    SpaceMismatchError,
)
from sosie.engine.inference import Classifier, Encoder
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore
from sosie.engine.text import Tokenizer

_LOG = logging.getLogger(__name__)

_PROBE_TIMEOUT = 5.0  # seconds for a probe of all models, or of the store
_HEALTHY_PAUSE = 2.0  # seconds between two checks
_SICK_PAUSE = 0.25
_RELOAD_GRACE = 30.0  # seconds in which a model that vanished is taken for one that is being loaded again


class Models(Protocol):
    """What a model server has ready; TritonModels is one."""

    @property
    def encoders(self) -> Mapping[str, Encoder]: ...

    @property
    def classifiers(self) -> Mapping[str, Classifier]: ...

    async def again(self, *, timeout: float) -> "Models": ...

    async def probe(self, *, timeout: float) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Embedder:
    """An encoder with the tokenizer that it was made with."""

    encoder: Encoder
    tokenizer: Tokenizer


class Backends:
    """The model server and the store, with what is known of their state.

    `connect` makes a connection to the model server. `space` names the embedding space to serve; empty for that of the
    collection.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Models]],
        store: VectorStore,
        *,
        collection: str,
        repository: Path,
        space: str = "",
    ) -> None:
        self.store = store
        self._connect = connect
        self._collection = collection
        self._repository = repository
        self._wanted_space = space
        self._models: Models | None = None
        self._missing_since: float | None = None
        self._models_error: EngineError | None = BackendUnavailableError("the model server was not asked yet")
        self._collection_space: EmbeddingSpace | None = None
        self._store_error: EngineError | None = BackendUnavailableError("the store was not asked yet")
        self._tokenizers: dict[str, Tokenizer] = {}

    @property
    def problem(self) -> EngineError | None:
        """Why searches cannot be answered now; None while they can."""
        if self._models_error is not None:
            return self._models_error
        try:
            self._choose()
        except EngineError as error:
            return error
        return None

    async def for_search(self) -> Embedder:
        """The encoder of the collection's space. Raises what keeps searches from being answered."""
        if isinstance(self._store_error, NoIndexError):
            await self._refresh_store()  # it may have been made since the last look
        return self._choose()

    def for_labels(self) -> Embedder:
        """An encoder for labels: the collection's where there is one, else the first that is served."""
        models = self._ready_models()
        name = self._wanted_space or (self._collection_space.name if self._collection_space else "")
        if name in models.encoders:
            return self._with_tokenizer(models.encoders[name])
        if not models.encoders:
            raise BackendError("the model server has no pair of encoders ready")
        return self._with_tokenizer(models.encoders[min(models.encoders)])

    def classifiers(self) -> Mapping[str, Classifier]:
        return self._ready_models().classifiers

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Checks both for ever, and calls `changed` whenever searches became possible or impossible."""
        serving: bool | None = None
        while True:
            await self.refresh()
            if serving is not (self.problem is None):
                serving = self.problem is None
                _LOG.info("serving" if serving else "not serving: %s", *([] if serving else [self.problem]))
                await changed()
            await asyncio.sleep(_HEALTHY_PAUSE if serving else _SICK_PAUSE)

    async def refresh(self) -> None:
        """Checks both once: every model by a real inference, the collection by reading its space."""
        await asyncio.gather(self._refresh_models(), self._refresh_store())

    async def close(self) -> None:
        if self._models is not None:
            await self._models.close()
        await self.store.close()

    async def _refresh_models(self) -> None:
        """Probes the models; those of a server that was away, or lacks one, are read anew: they may be others now."""
        was_away = self._models_error is not None
        try:
            if self._models is None or was_away or self._lacks_encoder(self._models):
                self._models = await self._read_models(self._models)
            await self._models.probe(timeout=_PROBE_TIMEOUT)
            self._models_error = None
        except BackendOverloadedError:
            self._models_error = None  # busy is not away
        except EngineError as error:
            self._models_error = error

    def _lacks_encoder(self, models: Models) -> bool:
        """Whether the encoder that searches need is not there: it may have been loaded since."""
        space = self._collection_space
        return not models.encoders if space is None else space.name not in models.encoders

    async def _read_models(self, known: Models | None) -> Models:
        """What the server has now; what was known before and is missing may be on its way back.

        The connection stays the same: a call that took its encoder before goes on by it.
        """
        if known is None:
            return await self._connect()
        models = await known.again(timeout=_PROBE_TIMEOUT)
        missing = {*known.encoders, *known.classifiers} - {*models.encoders, *models.classifiers}
        now = time.monotonic()
        self._missing_since = (self._missing_since or now) if missing else None
        if self._missing_since is not None and now - self._missing_since < _RELOAD_GRACE:
            raise BackendUnavailableError(f"the model server has no {', '.join(sorted(missing))} now")
        self._missing_since = None
        return models

    async def _refresh_store(self) -> None:
        try:
            self._collection_space = await self.store.space(timeout=_PROBE_TIMEOUT)
            self._store_error = None
        except EngineError as error:
            self._store_error = error

    def _choose(self) -> Embedder:
        if self._store_error is not None:
            raise self._store_error
        models = self._ready_models()
        if self._collection_space is None:
            raise BackendUnavailableError("the collection was not read yet")
        name = self._collection_space.name
        if self._wanted_space and self._wanted_space != name:
            raise SpaceMismatchError(self._collection, name, self._wanted_space)
        if name not in models.encoders:
            raise SpaceMismatchError(self._collection, name, ", ".join(sorted(models.encoders)) or "none")
        return self._with_tokenizer(models.encoders[name])

    def _ready_models(self) -> Models:
        if self._models is None:
            raise self._models_error or BackendUnavailableError("the model server was not asked yet")
        return self._models

    def _with_tokenizer(self, encoder: Encoder) -> Embedder:
        name = encoder.space.name
        if name not in self._tokenizers:
            self._tokenizers[name] = Tokenizer.find(self._repository, encoder.text_input)
        return Embedder(encoder, self._tokenizers[name])
