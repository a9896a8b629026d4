"""The collection that a run fills, and what becomes of it and of the live one when the catalog was read to its end."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeAlias

from sosie.engine.generations import Collection, GenerationStore, Layout
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore
from sosie.indexer.entry import Entry
from sosie.indexer.rejects import Reject
from sosie.indexer.retries import Retrier
from sosie.indexer.target.answering import Collected, Examiner
from sosie.indexer.target.errors import RefusedError
from sosie.indexer.target.listed import Listed
from sosie.indexer.target.losses import check_going_on
from sosie.indexer.target.options import TargetOptions
from sosie.indexer.target.pruning import Pruner
from sosie.indexer.target.questions import QuestionsError
from sosie.indexer.target.rebuilding import Rebuild, begin_rebuild
from sosie.indexer.target.requirements import CHANGE, find_failures

Found: TypeAlias = Entry | Reject


class OpenCollected(Protocol):
    """Makes a collection ready to be asked: finds the encoder of its space, None where nobody serves that."""

    def __call__(self, store: VectorStore, space: EmbeddingSpace) -> AbstractAsyncContextManager[Collected | None]: ...


class Target:
    """The `collection` that a run fills through `store`: the live one, or with `--rebuild` one beside it."""

    def __init__(
        self,
        *,
        store: VectorStore,
        collection: Collection,
        options: TargetOptions,
        listed: Listed | None,
        rebuild: Rebuild | None,
        timeout: float,
    ) -> None:
        self.store = store
        self.collection = collection
        self.options = options
        self._listed = listed
        self._rebuild = rebuild
        self._timeout = timeout

    def watch(self, catalog: Iterable[Found]) -> Iterable[Found]:
        """The same catalog; what it lists is noted where that is needed."""
        return self._listed.watch(catalog) if self._listed else catalog

    async def prune(self, retrier: Retrier) -> dict[str, Any]:
        """Deletes what the catalog no longer lists; says what, as JSON. Nothing without `--prune`.

        Raises RefusedError, with nothing deleted, StoppedError, with some of it deleted, and the store's errors once
        retries do not help.
        """
        if not self.options.prune or not self._listed:
            return {}
        left, timeout = self.options.left, self._timeout
        pruner = Pruner(store=self.store, listed=self._listed, left=left, retrier=retrier, timeout=timeout)
        return (await pruner.prune(self.options.max_prune)).as_dict()

    async def replace_live(
        self, retrier: Retrier, examiner: Examiner, open_collected: OpenCollected, books: dict[str, Any]
    ) -> None:
        """Puts a rebuilt collection in the live one's place; `books` tell of each step, as JSON.

        Does nothing without `--rebuild`. Raises RefusedError, and leaves the live one, where the new one is not as it
        must be: it stays, for a look, or for the next rebuild to go on with. Raises StoppedError where the run is to
        end, and the engine's errors once retries do not help.
        """
        rebuild, timeout = self._rebuild, self._timeout
        if not rebuild or not self._listed:
            return
        books.update({**rebuild.as_dict(), "switched": False, "metrics": {}, "losses": []})
        books["orphans"] = await rebuild.find_orphans(timeout=timeout)
        try:
            self._listed.check_complete()
            await rebuild.clear(self._listed, retrier, timeout=timeout)
            await rebuild.settle(retrier, timeout=timeout)
            judgement = await rebuild.judge(self._listed, self.options.left, retrier, timeout=timeout)
            books["losses"] = [loss.as_dict() for loss in (*judgement.losses, *judgement.stray)]
            metrics = {**judgement.metrics, **await self._examine(rebuild, examiner, open_collected)}
            books["metrics"] = {name: round(value, 4) for name, value in metrics.items()}
            judgement.check(self.options.max_prune)
            failures = find_failures(self.options.requirements, metrics, has_live="rows" in metrics)
            if failures:
                raise RefusedError(", ".join(failures))
        except (RefusedError, QuestionsError) as refusal:
            raise RefusedError(
                f"{rebuild.collection.name} did not go live: {refusal}; it stays for the next --rebuild to go on with, "
                f"or for `sosie index drop {rebuild.collection.name}`"
            ) from refusal
        check_going_on(retrier)
        await retrier.call(partial(rebuild.switch, timeout=timeout))
        books["switched"] = True
        books["orphans"] = await rebuild.find_orphans(timeout=timeout)

    async def _examine(self, rebuild: Rebuild, examiner: Examiner, open_collected: OpenCollected) -> dict[str, float]:
        questions = self.options.questions
        if not questions:
            return {}
        async with open_collected(rebuild.new_store, rebuild.collection.space) as new:
            answers = dict(await examiner.examine(new, questions)) if new else {}
        if rebuild.live and rebuild.live_store:
            async with open_collected(rebuild.live_store, rebuild.live.space) as live:
                before = await examiner.examine(live, questions) if live else {}
            answers |= {f"{name}{CHANGE}": answers[name] - value for name, value in before.items()}
        return answers


@asynccontextmanager
async def open_target(
    store: GenerationStore,
    space: EmbeddingSpace,
    options: TargetOptions,
    *,
    timeout: float,
) -> AsyncIterator[Target]:
    """The collection to fill, made where it is not there.

    It stays the same for the whole run, wherever the alias points meanwhile. Raises SpaceMismatchError where the live
    collection is in another space and is not to be rebuilt, and the store's errors.
    """
    layout = options.layout or Layout()
    rebuild = await begin_rebuild(store, space, layout=layout, timeout=timeout) if options.rebuild else None
    if rebuild:
        collection = rebuild.collection
    else:
        await store.create(space, layout=layout, timeout=timeout)
        collection = await store.live(timeout=timeout)
    listed = Listed() if options.rebuild or options.prune else None
    try:
        yield Target(
            store=store.at(collection.name),
            collection=collection,
            options=options,
            listed=listed,
            rebuild=rebuild,
            timeout=timeout,
        )
    finally:
        if listed:
            listed.close()
