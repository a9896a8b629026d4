"""A Milvus, server or served Lite, that is killed under a store in use and started again on the same port."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from fakes import FAKE_SPACE, unit
from milvus_fixtures import MilvusServer, suspend
from sosie.engine.errors import BackendTimeoutError, BackendUnavailableError, EngineError
from sosie.engine.milvus import MilvusStore
from sosie.engine.store import Facets, Filter, Row, VectorStore
from sosie.local.ports import find_ports
from sosie.local.processes import make_tag
from sosie.local.services import Service, make_milvus_lite

pytestmark = pytest.mark.slow

TIMEOUT = 1.0
GRACE = 0.5
"""Seconds that a call may take beyond its timeout."""

LONG = 30.0
QUERY = np.ones(FAKE_SPACE.size, np.float32)


@dataclass(frozen=True)
class ServedLite:
    """Milvus Lite as `sosie local up` serves it."""

    service: Service

    @property
    def uri(self) -> str:
        return f"http://{self.service.address}"

    def kill(self) -> None:
        assert self.service.child is not None
        self.service.child.kill()

    def start(self) -> None:
        self.service.start()


Milvus: TypeAlias = MilvusServer | ServedLite


@pytest.fixture(params=["server", "lite"])
def milvus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Milvus]:
    if request.param == "server":
        yield request.getfixturevalue("breakable_milvus")
        return
    port = find_ports(milvus=0)["milvus"]
    served = ServedLite(make_milvus_lite(tmp_path / "test.db", port, log=tmp_path / "log", tag=make_tag()))
    served.start()
    yield served
    served.kill()


@pytest.fixture
async def store(milvus: Milvus) -> AsyncIterator[VectorStore]:
    made = MilvusStore(milvus.uri, "products")
    await made.create(FAKE_SPACE, timeout=LONG)
    yield made
    await made.close()


def make_batch(number: int, size: int = 16) -> list[Row]:
    random = np.random.default_rng(number)
    vectors = unit(random.normal(size=(size, FAKE_SPACE.size)))
    return [
        Row(f"{number:04}-{i:04}", f"{number:04}", i, vector, Facets("shop"), b"payload", content="c", meta="m")
        for i, vector in enumerate(vectors)
    ]


CALLS: dict[str, Callable[[VectorStore], Awaitable[object]]] = {
    "space": lambda store: store.space(timeout=TIMEOUT),
    "probe": lambda store: store.probe(timeout=TIMEOUT),
    "search": lambda store: store.search(QUERY, limit=3, filter=Filter(), timeout=TIMEOUT),
    "upsert": lambda store: store.upsert(make_batch(9), timeout=TIMEOUT),
    "delete": lambda store: store.delete(["absent"], timeout=TIMEOUT),
    "fetch": lambda store: store.fetch(["0000-0000"], timeout=TIMEOUT),
    "digests": lambda store: store.digests(["0000-0000"], timeout=TIMEOUT),
    "first_picture": lambda store: store.first_picture("0" * 32, timeout=TIMEOUT),
    "count": lambda store: store.count(timeout=TIMEOUT),
    "create": lambda store: store.create(FAKE_SPACE, timeout=TIMEOUT),
}


async def until_answered(ask: Callable[[], Awaitable[object]], limit: float = LONG) -> float:
    """Asks until there is an answer; gives the seconds that it took."""
    began = time.monotonic()
    while True:
        try:
            await ask()
        except (BackendUnavailableError, BackendTimeoutError) as error:
            if time.monotonic() - began > limit:
                raise TimeoutError(f"no answer within {limit:.0f} s") from error
            await asyncio.sleep(0.05)
        else:
            return time.monotonic() - began


async def must_fail_in_time(store: VectorStore, calls: Iterable[str], errors: tuple[type[EngineError], ...]) -> None:
    for name in calls:
        began = time.monotonic()
        with pytest.raises(errors):
            await CALLS[name](store)
        assert time.monotonic() - began < TIMEOUT + GRACE, name


async def test_every_call_fails_in_time_and_works_again(milvus: Milvus, store: VectorStore) -> None:
    """While Milvus is away every call says so within its timeout; when it is back, the same store works again."""
    await store.upsert(make_batch(0), timeout=LONG)
    milvus.kill()
    await must_fail_in_time(store, CALLS, (BackendUnavailableError, BackendTimeoutError))
    await asyncio.to_thread(milvus.start)
    await until_answered(lambda: CALLS["search"](store))
    for call in CALLS.values():
        await call(store)
    assert await store.count(timeout=LONG) == 32


async def test_one_that_hangs_fails_in_time(milvus: Milvus, store: VectorStore) -> None:
    """Of a Milvus that takes connections and answers nothing, every call says after its timeout that it ran out."""
    await store.upsert(make_batch(0), timeout=LONG)
    suspend(milvus.service)
    await must_fail_in_time(store, CALLS, (BackendTimeoutError,))
    milvus.kill()
    await asyncio.to_thread(milvus.start)
    await until_answered(lambda: CALLS["search"](store))
    assert await store.count(timeout=LONG) >= 16


class SlowLine:
    """A way to a server on which what is sent either way arrives `delay` seconds late."""

    def __init__(self, uri: str) -> None:
        self.delay = 0.0
        host, _, port = uri.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._server.wait_closed()

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(*self._target)
        for reader, writer in ((near, forth), (far, back)):
            task = asyncio.create_task(self._carry(reader, writer))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**16):
                await asyncio.sleep(self.delay)
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()


async def test_a_slow_milvus_holds_nobody(milvus: Milvus) -> None:
    """Of a Milvus that answers too late every call says so in time, and once it is quick the same store works."""
    line = SlowLine(milvus.uri)
    slow = MilvusStore(await line.start(), "products")
    await slow.create(FAKE_SPACE, timeout=LONG)
    await slow.upsert(make_batch(0), timeout=LONG)
    line.delay = 2 * TIMEOUT
    await must_fail_in_time(slow, CALLS, (BackendTimeoutError,))
    line.delay = 0.0
    await until_answered(lambda: CALLS["search"](slow))
    assert set(await slow.fetch(["0000-0000"], timeout=LONG)) == {"0000-0000"}
    await slow.close()
    await line.stop()


async def test_milvus_may_come_later(milvus: Milvus) -> None:
    """A store that is made before its Milvus says that it is away, and works once it is there."""
    milvus.kill()
    early = MilvusStore(milvus.uri, "products")
    await must_fail_in_time(early, CALLS, (BackendUnavailableError, BackendTimeoutError))
    await asyncio.to_thread(milvus.start)
    await until_answered(lambda: early.create(FAKE_SPACE, timeout=LONG))
    assert await early.count(timeout=LONG) == 0
    await early.close()


async def test_acknowledged_rows_survive(milvus: Milvus, store: VectorStore) -> None:
    """Of a Milvus killed amid writing, every row whose writing was acknowledged is there after its restart."""
    written: list[str] = []
    enough = asyncio.Event()

    async def write() -> None:
        for number in range(1000):
            batch = make_batch(number)
            await store.upsert(batch, timeout=TIMEOUT)
            written.extend(row.key for row in batch)
            if len(written) >= 320:
                enough.set()

    writing = asyncio.create_task(write())
    await asyncio.wait_for(enough.wait(), LONG)
    await asyncio.to_thread(milvus.kill)
    with pytest.raises(EngineError):
        await asyncio.wait_for(writing, TIMEOUT + GRACE + 5)
    await asyncio.to_thread(milvus.start)
    await until_answered(lambda: CALLS["search"](store))
    assert set(await store.digests(written, timeout=LONG)) == set(written)
    fresh = MilvusStore(milvus.uri, "products")
    assert await fresh.count(timeout=LONG) >= len(written)
    await fresh.close()
