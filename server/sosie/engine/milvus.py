"""The index in Milvus: Milvus Lite for a path that ends in .db, a server for http(s)://.

A collection is asked and written in milvus_collection; here is the alias, and the collections that it may point at.
"""

import logging
from weakref import WeakValueDictionary

from sosie.engine.errors import NoIndexError, SpaceMismatchError
from sosie.engine.generations import Collection, Generation, Layout
from sosie.engine.milvus_admin import ThreadedClient
from sosie.engine.milvus_channel import MilvusChannel
from sosie.engine.milvus_collection import MilvusCollection
from sosie.engine.milvus_generations import Generations
from sosie.engine.space import EmbeddingSpace


class MilvusStore(MilvusCollection):
    """A GenerationStore in Milvus, under an alias that points at the live collection.

    Connects on first use, and again whenever the server was away. Its methods may be called from any event loop.
    """

    def __init__(self, uri: str, collection: str) -> None:
        channel = MilvusChannel(uri)
        super().__init__(collection, channel, ThreadedClient(channel))
        self._bound: WeakValueDictionary[str, MilvusCollection] = WeakValueDictionary()
        # They print each error with its traceback; here it is raised, and said once.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    async def create(self, space: EmbeddingSpace, *, layout: Layout | None = None, timeout: float) -> None:
        try:
            present = await self.space(timeout=timeout)
        except NoIndexError:
            await self._run(
                lambda client, alias, left: Generations(client, alias, left).create(space, layout or Layout()), timeout
            )
            return
        if present.name != space.name:
            raise SpaceMismatchError(self.collection, present.name, space.name)

    async def live(self, *, timeout: float) -> Collection:
        return await self.describe(timeout=timeout)

    def at(self, name: str) -> MilvusCollection:
        """One object for each name while somebody has it: it knows what was written from here."""
        return self._bound.setdefault(name, MilvusCollection(name, self._channel, self._client))

    async def generations(self, *, timeout: float) -> list[Generation]:
        return await self._run(lambda client, alias, left: Generations(client, alias, left).list(), timeout)

    async def begin(self, space: EmbeddingSpace, *, layout: Layout | None = None, timeout: float) -> Collection:
        name = await self._run(
            lambda client, alias, left: Generations(client, alias, left).begin(space, layout or Layout()), timeout
        )
        return await self.at(name).describe(timeout=timeout)

    async def switch(self, name: str, *, timeout: float) -> None:
        await self._run(lambda client, alias, left: Generations(client, alias, left).switch(name), timeout)

    async def drop(self, name: str, *, timeout: float) -> None:
        await self._run(lambda client, alias, left: Generations(client, alias, left).drop(name), timeout)

    async def close(self) -> None:
        await self._client.close()
        await self._channel.close()
