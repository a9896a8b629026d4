"""The collections of an alias in Milvus: how they are named, which of them is what, and how they are changed.

Two more aliases mark the previous collection and the half-built one: what is known of them is where they are, for every
machine, and each change is one step of Milvus'. All of it goes through pymilvus' client, in threads (milvus_admin).
"""

import re
import time
from datetime import UTC, datetime

from pymilvus import MilvusClient, MilvusException
from pymilvus.client.types import LoadState

from sosie.engine.errors import BackendError, BackendTimeoutError, InputError, NoIndexError
from sosie.engine.generations import Collection, Generation, Layout, State
from sosie.engine.milvus_errors import is_absent
from sosie.engine.milvus_layout import make_collection, read_collection
from sosie.engine.space import EmbeddingSpace

_ORDER = list(State)
_STAMP = r"(_\d{8}_\d{6}_\d{3})?"  # collections of earlier versions, and an alias' first, have none


class Generations:
    """Those of `alias`, for as long as `timeout` seconds from now; whatever would begin later is not begun."""

    def __init__(self, client: MilvusClient, alias: str, timeout: float) -> None:
        self._client = client
        self._alias = alias
        self._deadline = time.monotonic() + timeout
        self._marks = {
            State.LIVE: alias,
            State.PREVIOUS: f"{alias}__previous",
            State.BUILDING: f"{alias}__building",
        }

    def list(self) -> list[Generation]:
        """All of them: live, previous, building, orphans, each by name."""
        states = self._states()
        found = [
            Generation(collection, states.get(name, State.ORPHAN), self._count(name))
            for name, collection in self._collections().items()
        ]
        return sorted(found, key=lambda each: (_ORDER.index(each.state), each.collection.name))

    def create(self, space: EmbeddingSpace, layout: Layout) -> None:
        """Makes the first collection and points the alias at it; what a killed run left half done is completed."""
        name = _base(self._alias, space)
        if not self._client.has_collection(name, timeout=self._left()):
            make_collection(self._client, name, space, layout, self._left())
        self._client.create_alias(name, self._alias, timeout=self._left())

    def begin(self, space: EmbeddingSpace, layout: Layout) -> str:
        """The name of a new collection, which is marked as half-built."""
        # A time and no number: no name is met again after its collection was dropped.
        stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S_%f")[:-3]
        name = f"{_base(self._alias, space)}_{stamp}"
        make_collection(self._client, name, space, layout, self._left())
        self._point(State.BUILDING, name)
        return name

    def switch(self, name: str) -> None:
        """Points the alias at a collection, once it can be searched."""
        self._check(name)
        self._client.load_collection(name, timeout=self._left())
        live = self._target(State.LIVE)
        if live != name:
            if live is not None:
                self._point(State.PREVIOUS, live)  # before the alias: whenever this ends, there is a way back
            self._point(State.LIVE, name)
        if self._target(State.BUILDING) == name:
            self._client.drop_alias(self._marks[State.BUILDING], timeout=self._left())

    def drop(self, name: str) -> None:
        """Removes a collection that is not live, with its marks."""
        self._check(name)
        if self._target(State.LIVE) == name:
            raise InputError("name", f"{name} is live: switch to another collection first")
        for state in (State.PREVIOUS, State.BUILDING):
            if self._target(state) == name:
                self._client.drop_alias(self._marks[state], timeout=self._left())
        self._client.drop_collection(name, timeout=self._left())

    def _left(self) -> float:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise BackendTimeoutError("Milvus did not answer in time")
        return seconds

    def _collections(self) -> dict[str, Collection]:
        """Those that were made for this alias, by their names."""
        prefix = _plain(self._alias)
        found = {}
        for name in self._client.list_collections(timeout=self._left()):
            collection = self._describe(name) if name.startswith(prefix) else None
            # By the whole name: sosie_b's begin as sosie's do.
            if collection and re.fullmatch(re.escape(_base(self._alias, collection.space)) + _STAMP, name):
                found[name] = collection
        live = self._describe(self._alias)
        return {**found, live.name: live} if live else found  # it may have been named by hand

    def _check(self, name: str) -> None:
        if name not in self._collections():
            raise NoIndexError(f"{self._alias!r} has no collection {name!r}")

    def _states(self) -> dict[str, State]:
        """What the marked ones are; of two marks on one the first of `State` counts."""
        targets = {state: self._target(state) for state in reversed(self._marks)}
        return {name: state for state, name in targets.items() if name is not None}

    def _target(self, state: State) -> str | None:
        """The name of the collection that a mark points at."""
        collection = self._describe(self._marks[state])
        return collection.name if collection else None

    def _describe(self, name: str) -> Collection | None:
        """None where there is none of that name, or it holds something else than pictures."""
        try:
            return read_collection(self._client.describe_collection(name, timeout=self._left()))
        except MilvusException as error:
            if is_absent(error):
                return None
            raise
        except BackendError:  # no description of a space
            return None

    def _point(self, state: State, name: str) -> None:
        mark = self._marks[state]
        if self._target(state) is None:
            self._client.create_alias(name, mark, timeout=self._left())
        else:
            self._client.alter_alias(name, mark, timeout=self._left())

    def _count(self, name: str) -> int:
        """Of one that is not loaded, which may be large, rows that were replaced since may still be counted."""
        if self._client.get_load_state(name, timeout=self._left())["state"] != LoadState.Loaded:
            return int(self._client.get_collection_stats(name, timeout=self._left())["row_count"])
        rows = self._client.query(name, output_fields=["count(*)"], consistency_level="Strong", timeout=self._left())
        return int(rows[0]["count(*)"])


def _base(alias: str, space: EmbeddingSpace) -> str:
    """How the names of an alias' collections in a space begin."""
    return _plain(f"{alias}_{space.name}")


def _plain(text: str) -> str:
    """As Milvus takes it for a name."""
    return re.sub(r"\W", "_", text)
