"""Opens what the job stands on: the encoder of the right space, its tokenizer, and the collection."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sosie.engine.errors import EngineError, NoIndexError, SpaceMismatchError
from sosie.engine.generations import GenerationStore
from sosie.engine.inference import Encoder
from sosie.engine.milvus import MilvusStore
from sosie.engine.store import VectorStore
from sosie.engine.triton import TritonModels


class SetupError(Exception):
    """What was asked for does not fit together; the message says on one line what to change."""


@dataclass(frozen=True)
class Backends:
    """Where Triton and the index are, and which of what they hold is meant.

    With `rebuild` the collection may be in another space than the one that is meant: it moves.
    """

    triton: str
    store: str
    collection: str
    space: str | None = None
    rebuild: bool = False


@asynccontextmanager
async def open_backends(backends: Backends, *, timeout: float) -> AsyncIterator[tuple[Encoder, GenerationStore]]:
    """The encoder to use, and the store, whose collection is in its space or not yet there.

    Raises SetupError where the space is unclear or another than the collection's, and the engine's errors where Triton
    or the store cannot be reached.
    """
    try:
        models = await TritonModels.connect(backends.triton, timeout=timeout)
    except EngineError as error:
        raise SetupError(f"cannot use Triton at {backends.triton}: {error}") from error
    try:
        store = MilvusStore(backends.store, backends.collection)
        try:
            indexed = await _read_space(store, timeout)
            yield choose_encoder(models.encoders, indexed, backends), store
        finally:
            await store.close()
    finally:
        await models.close()


@asynccontextmanager
async def open_encoder(backends: Backends, space: str, *, timeout: float) -> AsyncIterator[Encoder | None]:
    """Another encoder than the one to use, by its space; None where it is not served. Raises the engine's errors."""
    models = await TritonModels.connect(backends.triton, timeout=timeout)
    try:
        yield models.encoders.get(space)
    finally:
        await models.close()


def choose_encoder(encoders: Mapping[str, Encoder], indexed: str | None, backends: Backends) -> Encoder:
    """The served encoder that is asked for, else that of the collection's space, `indexed`, else the only one.

    Raises SetupError where there is none, where several may be meant, or where the collection is in another space.
    """
    served = ", ".join(sorted(encoders)) or "none"
    wanted = backends.space
    if wanted is None and indexed in encoders:
        wanted = indexed
    if wanted is None and len(encoders) == 1:
        wanted = served
    if wanted is not None and wanted not in encoders:
        raise SetupError(f"Triton at {backends.triton} does not serve the space {wanted!r}; it serves: {served}")
    if indexed is not None and wanted != indexed and not backends.rebuild:
        mismatch = SpaceMismatchError(backends.collection, indexed, wanted or served)
        raise SetupError(f"{mismatch} (--collection), or move this one by --rebuild")
    if wanted is None:
        raise SetupError(f"Triton at {backends.triton} serves these embedding spaces: {served}; choose by --space")
    return encoders[wanted]


async def _read_space(store: VectorStore, timeout: float) -> str | None:
    try:
        return (await store.space(timeout=timeout)).name
    except NoIndexError:
        return None
