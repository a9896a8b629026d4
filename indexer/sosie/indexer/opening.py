"""Opens what the job stands on: the encoder of the right space, its tokenizer, and the collection."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sosie.engine.errors import EngineError, NoIndexError, SpaceMismatchError
from sosie.engine.generations import GenerationStore
from sosie.engine.inference import Encoder
from sosie.engine.milvus import MilvusStore
from sosie.engine.store import VectorStore
from sosie.indexer.encoding.gateway_queue import watch_gateways
from sosie.indexer.encoding.servers import Servers, follow
from sosie.indexer.encoding.spreading import SpreadEncoder


class SetupError(Exception):
    """What was asked for does not fit together; the message says on one line what to change."""


@dataclass(frozen=True)
class Backends:
    """Where Triton and the index are, and which of what they hold is meant.

    `triton` is one address or several, see Servers. With `rebuild` the collection may be in another space than the one
    that is meant: it moves. While calls wait longer than `max_queue` seconds at one of the `gateways`, which are the
    addresses of their metrics, nothing is encoded.
    """

    triton: str
    store: str
    collection: str
    space: str | None = None
    rebuild: bool = False
    gateways: tuple[str, ...] = ()
    max_queue: float = 0.05


@asynccontextmanager
async def open_backends(
    backends: Backends, *, timeout: float, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[tuple[SpreadEncoder, GenerationStore]]:
    """The encoder to use, and the store, whose collection is in its space or not yet there.

    `tell` is given a line for people whenever the encoder begins or ends to stand back.

    Raises SetupError where the space is unclear or another than the collection's, and the engine's errors where Triton
    or the store cannot be reached.
    """
    async with AsyncExitStack() as stack:
        try:
            servers = await stack.enter_async_context(_connect(backends, timeout))
        except EngineError as error:
            raise SetupError(f"cannot use Triton at {backends.triton}: {error}") from error
        store = MilvusStore(backends.store, backends.collection)
        stack.push_async_callback(store.close)
        chosen = choose_encoder(servers.encoders(), await _read_space(store, timeout), backends)
        gate = await stack.enter_async_context(watch_gateways(backends.gateways, backends.max_queue, tell=tell))
        encoder = SpreadEncoder(servers.replicas(chosen.space.name), gate)
        await stack.enter_async_context(follow(servers, encoder))
        yield encoder, store


@asynccontextmanager
async def open_encoder(backends: Backends, space: str, *, timeout: float) -> AsyncIterator[Encoder | None]:
    """Another encoder than the one to use, by its space; None where it is not served. Raises the engine's errors."""
    async with _connect(backends, timeout) as servers:
        yield servers.encoders().get(space)


@asynccontextmanager
async def _connect(backends: Backends, timeout: float) -> AsyncIterator[Servers]:
    servers = Servers(backends.triton, timeout)
    try:
        await servers.connect()
        yield servers
    finally:
        await servers.close()


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
