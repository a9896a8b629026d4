"""The collection that questions are answered from: the alias followed, its space and its rows changing together."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sosie.engine.errors import BackendUnavailableError, EngineError, NoIndexError
from sosie.engine.generations import Collection, GenerationStore
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Searched:
    """A collection with the store that is at it, whatever the alias points at meanwhile."""

    collection: Collection
    store: VectorStore


class LiveIndex:
    """Looks where the alias points, and remembers it until the next look.

    A question takes its encoder by the space of the collection that it will search: were it to search the alias, it
    could meet one in another space by then. `speaks` tells whether questions in a space can be embedded now. Where
    the alias comes to point at a collection of which they cannot, while they can of the one before, that one goes on.
    """

    def __init__(self, store: GenerationStore, speaks: Callable[[EmbeddingSpace], bool]) -> None:
        self._store = store
        self._speaks = speaks
        self._searched: Searched | None = None
        self._error: EngineError | None = BackendUnavailableError("the store was not asked yet")
        self._next: Collection | None = None

    @property
    def error(self) -> EngineError | None:
        """What keeps searches from being answered, as far as is known."""
        return self._error

    @property
    def space(self) -> EmbeddingSpace | None:
        """The space to ask in, from the first look on."""
        return self._searched.collection.space if self._searched else None

    @property
    def next_space(self) -> EmbeddingSpace | None:
        """The space of a collection that waits for its encoders, else `space`."""
        return self._next.space if self._next else self.space

    @property
    def store(self) -> VectorStore:
        """The collection to ask; before the first look whatever the alias points at."""
        return self._searched.store if self._searched else self._store

    async def look(self, *, timeout: float) -> None:
        """Where the alias points, and whether a search there is answered, each within `timeout` seconds."""
        try:
            await self._look(timeout)
        except EngineError as error:
            self._error = error
        else:
            self._error = None

    async def _look(self, timeout: float) -> None:
        try:
            found = await self._find(timeout)
        except NoIndexError:  # dropped between two questions, as after two switches, or not there at all
            found = await self._find(timeout)
        known = self._searched
        if known is not None and known.collection != found.collection:
            if await self._must_stay(known, found.collection, timeout):
                self._wait_for(found.collection, known.collection)
                return
            _LOG.info("answering from collection %s, no longer from %s", found.collection.name, known.collection.name)
        self._searched, self._next = found, None

    async def _find(self, timeout: float) -> Searched:
        live = await self._store.live(timeout=timeout)
        known = self._searched
        found = known if known and known.collection == live else Searched(live, self._store.at(live.name))
        await found.store.probe(timeout=timeout)
        return found

    async def _must_stay(self, known: Searched, live: Collection, timeout: float) -> bool:
        if self._speaks(live.space) or not self._speaks(known.collection.space):
            return False
        try:
            await known.store.probe(timeout=timeout)
        except EngineError:
            return False
        return True

    def _wait_for(self, collection: Collection, known: Collection) -> None:
        if self._next != collection:
            _LOG.warning(
                "collection %s is live in the embedding space %s, which no encoder speaks: still answering from %s",
                collection.name,
                collection.space.name,
                known.name,
            )
        self._next = collection
