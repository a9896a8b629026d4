"""What the gateway leans on, Triton and Milvus, watched so that questions are told at once when they are away."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sosie.engine.errors import (
    BackendError,
    EngineError,
    NoIndexError,
    SpaceMismatchError,
)
from sosie.engine.generations import GenerationStore
from sosie.engine.inference import Classifier, Encoder, ServedModel
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore
from sosie.engine.text import Tokenizer
from sosie.gateway.live_index import LiveIndex
from sosie.gateway.live_models import LiveModels, Models

_LOG = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_PROBE_TIMEOUT = 5.0  # seconds for a probe of all models, or of the store
_HEALTHY_PAUSE = 2.0  # seconds between two checks
_LEAST_PAUSE = 0.25  # while something is wrong, or a call failed


@dataclass(frozen=True)
class Embedder:
    """An encoder with its tokenizer, and the collection to search by it.

    `problem` is why the encoder does not answer now, where that is known.
    """

    encoder: Encoder
    tokenizer: Tokenizer
    store: VectorStore
    problem: EngineError | None = None

    @property
    def space(self) -> EmbeddingSpace:
        return self.encoder.space

    def check(self) -> None:
        """Raises `problem`: to be called before the encoder is, so that nobody waits in vain for one that hangs."""
        if self.problem is not None:
            raise self.problem


class Backends:
    """The model server and the store, with what is known of their state.

    `connect` makes a connection to the model server. `space` names the embedding space to serve; empty for that of the
    collection.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Models]],
        store: GenerationStore,
        *,
        collection: str,
        repository: Path,
        space: str = "",
    ) -> None:
        self._models = LiveModels(connect)
        self._store = store
        self._index = LiveIndex(store, self._speaks)
        self._collection = collection
        self._repository = repository
        self._wanted_space = space
        self._tokenizers: dict[str, Tokenizer] = {}
        self._doubt = asyncio.Event()
        self._to_look_at = {"models", "store"}
        self._serving: bool | None = None

    @property
    def space(self) -> str:
        """The name of the collection's embedding space; empty while it is not known."""
        return self._index.space.name if self._index.space else ""

    @property
    def served(self) -> Sequence[ServedModel]:
        """What the model server said last of its models."""
        return self._models.served

    @property
    def problem(self) -> EngineError | None:
        """Why not every question can be answered now; None while all can."""
        problem = self._models.problem(self.space)
        if problem is not None:
            return problem
        try:
            self._choose()
        except EngineError as error:
            return error
        return None

    @property
    def has_looked(self) -> bool:
        """Whether both were looked at, whatever that came to."""
        return not self._to_look_at

    async def answer(self, ask: Callable[[Embedder], Awaitable[_Answer]]) -> _Answer:
        """What `ask` answers by what `for_search` gives; once more where the collection was dropped meanwhile."""
        embedder = await self.for_search()
        try:
            return await ask(embedder)
        except NoIndexError:
            await self._refresh_store()
            again = self._choose()
            if again.store is embedder.store:
                raise
        return await ask(again)

    async def for_search(self) -> Embedder:
        """The encoder of the collection's space, also where it does not answer: an indexed picture needs none.

        Raises what is known to keep all searches from being answered.
        """
        if isinstance(self._index.error, NoIndexError):
            await self._refresh_store()  # it may have been made since the last look
        return self._choose()

    def for_labels(self) -> Embedder:
        """An encoder for labels: the collection's where there is one, else the first that is served."""
        encoders = self._models.known.encoders
        name = self._wanted_space or self.space
        if name not in encoders and self._models.encoder_problem(name) is None:
            if not encoders:
                raise BackendError("the model server has no pair of encoders ready")
            name = min(encoders)
        return self._find_encoder(name)

    def classifiers(self) -> Mapping[str, Classifier]:
        """The classifiers that are served, by their label set, those that do not answer now too."""
        return self._models.known.classifiers

    def check_classifier(self, label_set: str) -> None:
        """Raises why a classifier does not answer now, where that is known."""
        problem = self._models.classifier_problem(label_set)
        if problem is not None:
            raise problem

    async def watch(self, looked: Callable[[], Awaitable[None]]) -> None:
        """Checks both for ever, each at its own pace, and calls `looked` after each look at one of them.

        Raises an ExceptionGroup of what nobody expected, with none of the checks left running.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(self._refresh_models, looked))
            group.create_task(self._watch(self._refresh_store, looked))
            group.create_task(self._count_runs())

    async def _watch(self, refresh: Callable[[], Awaitable[None]], looked: Callable[[], Awaitable[None]]) -> None:
        while True:
            self._doubt.clear()
            await refresh()
            serving = self.problem is None
            if serving is not self._serving and self.has_looked:
                self._serving = serving
                _LOG.info("serving" if serving else "not serving: %s", *([] if serving else [self.problem]))
            await looked()
            await asyncio.sleep(_LEAST_PAUSE)
            if serving:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._doubt.wait(), _HEALTHY_PAUSE - _LEAST_PAUSE)

    async def _count_runs(self) -> None:
        while True:
            await self._models.count_runs(timeout=_PROBE_TIMEOUT)
            await asyncio.sleep(_HEALTHY_PAUSE)

    def doubt(self) -> None:
        """A call failed for want of a backend: the next look comes at once."""
        self._doubt.set()

    async def refresh(self) -> None:
        """Checks both once: every model by a real inference, the collection by a real search."""
        await asyncio.gather(self._refresh_models(), self._refresh_store())

    async def close(self) -> None:
        await self._models.close()
        await self._store.close()

    async def _refresh_models(self) -> None:
        space = self._index.next_space
        try:
            await self._models.look(space.name if space else "", timeout=_PROBE_TIMEOUT)
        finally:
            self._to_look_at.discard("models")

    async def _refresh_store(self) -> None:
        try:
            await self._index.look(timeout=_PROBE_TIMEOUT)
        finally:
            self._to_look_at.discard("store")

    def _speaks(self, space: EmbeddingSpace) -> bool:
        """Whether questions in this space are wanted, and can be embedded now."""
        return self._wanted_space in {"", space.name} and self._models.speaks(space.name)

    def _choose(self) -> Embedder:
        if self._index.error is not None:
            raise self._index.error
        name = self.space
        if self._wanted_space and self._wanted_space != name:
            raise SpaceMismatchError(self._collection, name, self._wanted_space)
        return self._find_encoder(name)

    def _find_encoder(self, name: str) -> Embedder:
        encoders = self._models.known.encoders
        problem = self._models.encoder_problem(name)
        encoder = encoders.get(name)
        if encoder is None:
            raise problem or SpaceMismatchError(self._collection, name, ", ".join(sorted(encoders)) or "none")
        if name not in self._tokenizers:
            self._tokenizers[name] = Tokenizer.find(self._repository, encoder.text_input)
        return Embedder(encoder, self._tokenizers[name], self._index.store, problem)
