"""Collections that take turns behind one alias: what a store with generations promises.

Questions go to the alias and reach the live collection. Another one is filled beside it and takes its place in one
step; the one before it stays, so that the step can be undone.
"""

import enum
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore

IndexKind: TypeAlias = Literal["auto", "flat", "hnsw", "diskann"]


class State(enum.StrEnum):
    """What a collection is to its alias."""

    LIVE = "live"
    """The alias points at it: it is what questions are answered from."""

    PREVIOUS = "previous"
    """It was live before; `switch` to it is a rollback."""

    BUILDING = "building"
    """It was made to become live, and did not yet."""

    ORPHAN = "orphan"
    """None of these, e.g. a PREVIOUS of earlier days: only `drop` has a use for it."""


@dataclass(frozen=True)
class Collection:
    """A collection by its own name. `identity` is that of no other, not even of one that had this name before."""

    name: str
    space: EmbeddingSpace
    identity: str


@dataclass(frozen=True)
class Generation:
    """A collection of an alias, with its number of rows."""

    collection: Collection
    state: State
    rows: int


@dataclass(frozen=True)
class Layout:
    """How a new collection is laid out. Milvus Lite knows one exact index and no partitions, and heeds none of it.

    `rows` is how many it is expected to hold, 0 where nobody knows. `by_shop` keeps shops apart, so that a question
    with a filter on a few of many shops looks at their rows alone.
    """

    index: IndexKind = "auto"
    rows: int = 0
    by_shop: bool = False


class GenerationStore(VectorStore, Protocol):
    """A VectorStore whose alias may point at one collection now and at another later.

    As a VectorStore it is the live collection, whichever that is at the time of each call; `at` gives one that stays
    the same. Every method that waits takes `timeout` in seconds and raises as those of VectorStore do.
    """

    async def create(self, space: EmbeddingSpace, *, layout: Layout | None = None, timeout: float) -> None:
        """As a VectorStore's; `layout` is for one that is made."""
        ...

    async def live(self, *, timeout: float) -> Collection:
        """The collection that the alias points at. Raises NoIndexError where there is none."""
        ...

    def at(self, name: str) -> VectorStore:
        """The collection of that name, whatever the alias points at; it is not asked whether there is one.

        It shares this store's connection and lives as long: closing it does nothing. Its `create` makes nothing.
        """
        ...

    async def generations(self, *, timeout: float) -> list[Generation]:
        """All collections of this alias, the live one first, then previous, building and orphans, each by name."""
        ...

    async def begin(self, space: EmbeddingSpace, *, layout: Layout | None = None, timeout: float) -> Collection:
        """Makes a collection, empty and BUILDING, whatever else there is; one that was BUILDING becomes an ORPHAN."""
        ...

    async def switch(self, name: str, *, timeout: float) -> None:
        """Makes the collection of that name LIVE, in one step for whoever asks, and the one that was PREVIOUS.

        It can be searched when this returns, whatever its state was. Killed halfway, it is done by calling it again.
        Raises NoIndexError where the alias has no such collection.
        """
        ...

    async def drop(self, name: str, *, timeout: float) -> None:
        """Removes a collection with all of its rows.

        Raises InputError where it is LIVE, NoIndexError where the alias has no such collection.
        """
        ...
