"""What is left to do for pictures, given what the index has of them already."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from sosie.engine.space import Vector
from sosie.engine.store import Digests, Row, VectorStore
from sosie.indexer.listing import Listing
from sosie.indexer.pictures import PictureError, PictureFolder
from sosie.indexer.recipe import Recipe, same_picture
from sosie.indexer.rejects import Reject
from sosie.indexer.retries import Retrier


@dataclass(frozen=True)
class Task:
    """A picture that needs inference.

    With a `kept` vector only its words are encoded: the picture is still the one of which `content` tells.
    """

    listing: Listing
    kept: Vector | None = None
    content: str = ""


@dataclass(frozen=True)
class Plan:
    """What is to be done for some pictures."""

    tasks: list[Task] = field(default_factory=list)
    rewrites: list[Row] = field(default_factory=list)
    unchanged: list[Listing] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


class Planner:
    """Compares pictures with their rows in the index."""

    def __init__(
        self,
        *,
        store: VectorStore,
        folder: PictureFolder,
        recipe: Recipe,
        pool: Executor,
        retrier: Retrier,
        timeout: float,
    ) -> None:
        self._store = store
        self._folder = folder
        self._recipe = recipe
        self._pool = pool
        self._retrier = retrier
        self._timeout = timeout

    async def plan(self, listings: Sequence[Listing]) -> Plan:
        """Costs one question to the store, another where rows change, and reads the files of pictures it knows.

        Raises the store's errors once retries do not help.
        """
        keys = [listing.key for listing in listings]
        known = await self._retrier.call(lambda: self._store.digests(keys, timeout=self._timeout))
        plan = Plan(tasks=[Task(listing) for listing in listings if listing.key not in known])
        stale: list[tuple[Listing, str]] = []
        for listing, content in await self._contents([each for each in listings if each.key in known], plan):
            found = known[listing.key]
            if found == Digests(content, listing.meta_digest(content)):
                plan.unchanged.append(listing)
            elif same_picture(found.content, content):
                stale.append((listing, content))
            else:
                plan.tasks.append(Task(listing))
        if stale:
            await self._keep_vectors(stale, known, plan)
        return plan

    async def _contents(self, listings: Sequence[Listing], plan: Plan) -> list[tuple[Listing, str]]:
        """The digests of what these pictures' vectors would be made from; unreadable files go to the rejects."""
        loop = asyncio.get_running_loop()
        reads = [loop.run_in_executor(self._pool, self._folder.digest, listing.path) for listing in listings]
        contents = []
        for listing, read in zip(listings, await asyncio.gather(*reads, return_exceptions=True), strict=True):
            if isinstance(read, str):
                contents.append((listing, self._recipe.content(read, listing.words)))
            elif isinstance(read, PictureError):
                plan.rejects.append(listing.reject("path", str(read)))
            else:
                raise read
        return contents

    async def _keep_vectors(self, stale: Sequence[tuple[Listing, str]], known: dict[str, Digests], plan: Plan) -> None:
        keys = [listing.key for listing, _ in stale]
        vectors = await self._retrier.call(lambda: self._store.fetch(keys, timeout=self._timeout))
        for listing, content in stale:
            vector = vectors.get(listing.key)
            if vector is None:  # deleted meanwhile
                plan.tasks.append(Task(listing))
            elif known[listing.key].content == content:
                plan.rewrites.append(listing.row(vector, content))
            else:
                plan.tasks.append(Task(listing, vector, content))
