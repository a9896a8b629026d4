"""One encoder made of several: who is asked, how much at a time, and what happens where one fails."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from fakes import FakeEncoder, FakeStore
from indexer_fixtures import make_shop, run_job
from sosie.engine.errors import BackendOverloadedError, BackendTimeoutError, BackendUnavailableError, EngineError
from sosie.engine.inference import Pictures, Tokens
from sosie.engine.space import Parts
from sosie.indexer.encoding.spreading import FIRST_REST, LONGEST_REST, SpreadEncoder
from sosie.indexer.retries import Backoff

TIMEOUT = 5.0
PICTURES = np.random.default_rng(1).integers(0, 255, (21, 8, 8, 3), np.uint8)


class Server(FakeEncoder):
    """Takes four rows at a time, and as many requests as are let through by `answers`; fails with `error`."""

    def __init__(self, error: EngineError | None = None) -> None:
        super().__init__()
        self.max_pictures = self.max_sentences = 4
        self.error = error
        self.requests: list[int] = []
        self.asked = asyncio.Event()
        self.answers: asyncio.Event | None = None

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        await self._take(len(pictures))
        return await super().encode_images(pictures, timeout=timeout)

    async def encode_texts(self, tokens: Tokens, *, timeout: float) -> Parts:
        await self._take(len(tokens))
        return await super().encode_texts(tokens, timeout=timeout)

    async def _take(self, rows: int) -> None:
        self.requests.append(rows)
        self.asked.set()
        if self.error is not None:
            raise self.error
        if self.answers is not None:
            await self.answers.wait()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    """Lets every task go on until all of them wait."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda encoder: encoder.encode_images(PICTURES, timeout=TIMEOUT),
        lambda encoder: encoder.encode_texts(np.arange(1, 64).reshape(21, 3), timeout=TIMEOUT),
    ],
    ids=["pictures", "sentences"],
)
async def test_pieces_come_back_in_order(ask: Callable[[FakeEncoder | SpreadEncoder], Awaitable[Parts]]) -> None:
    """What is asked for in requests of the models' size, from two servers, is what one server gives at once."""
    one, other = Server(), Server()
    found = await ask(SpreadEncoder({"a": one, "b": other}))
    expected = await ask(FakeEncoder())
    assert sorted(one.requests + other.requests) == [1, 4, 4, 4, 4, 4]
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)


async def test_the_window_holds_requests_back() -> None:
    """No server has more under way than its window, and the next goes out when one came back."""
    server = Server()
    server.answers = asyncio.Event()
    encoder = SpreadEncoder({"a": server})
    asking = asyncio.create_task(encoder.encode_images(PICTURES, timeout=TIMEOUT))
    await settle()
    assert len(server.requests) == encoder.replicas[0].images.limit == 2
    server.answers.set()
    await asyncio.wait_for(asking, TIMEOUT)
    assert sum(server.requests) == 21
    assert encoder.replicas[0].images.under_way == 0


async def test_a_slow_server_gets_less() -> None:
    """While one server answers nothing, the other does all the rest."""
    slow, quick = Server(), Server()
    slow.answers = asyncio.Event()
    encoder = SpreadEncoder({"a": slow, "b": quick})
    asking = asyncio.create_task(encoder.encode_images(PICTURES, timeout=TIMEOUT))
    await settle()
    assert len(slow.requests) <= 2
    assert len(quick.requests) == 6 - len(slow.requests)
    slow.answers.set()
    await asyncio.wait_for(asking, TIMEOUT)


@pytest.mark.parametrize("error", [BackendUnavailableError("away"), BackendTimeoutError("late")])
async def test_a_server_that_fails_rests(error: EngineError) -> None:
    """After a failure the others are asked; once it has rested, the server is asked again."""
    clock, bad, good = Clock(), Server(error), Server()
    encoder = SpreadEncoder({"a": bad, "b": good}, clock=clock)
    with pytest.raises(type(error)):
        await encoder.encode_images(PICTURES[:4], timeout=TIMEOUT)
    for _ in range(5):
        await encoder.encode_images(PICTURES[:4], timeout=TIMEOUT)
    assert (len(bad.requests), len(good.requests)) == (1, 5)
    clock.now += FIRST_REST
    bad.error = None
    await encoder.encode_images(PICTURES[:4], timeout=TIMEOUT)
    assert len(bad.requests) == 2


async def test_rests_grow_longer() -> None:
    """A server that fails again and again is left alone for longer each time, up to a bound."""
    clock, bad = Clock(), Server(BackendUnavailableError("away"))
    encoder = SpreadEncoder({"a": bad}, clock=clock)
    rests = []
    for _ in range(7):  # the only server is asked however long it should rest
        with pytest.raises(BackendUnavailableError):
            await encoder.encode_images(PICTURES[:1], timeout=TIMEOUT)
        rests.append(encoder.replicas[0].rests_until - clock.now)
    assert rests == [0.5, 1, 2, 4, LONGEST_REST, LONGEST_REST, LONGEST_REST]


async def test_a_refusal_makes_the_window_smaller() -> None:
    """A server whose queue is full is asked for less at a time, and goes on."""
    server = Server(BackendOverloadedError("Exceeds maximum queue size"))
    encoder = SpreadEncoder({"a": server})
    with pytest.raises(BackendOverloadedError):
        await encoder.encode_images(PICTURES, timeout=TIMEOUT)
    assert encoder.replicas[0].images.limit == 1
    assert encoder.replicas[0].texts.limit == 2
    server.error = None
    await encoder.encode_images(PICTURES, timeout=TIMEOUT)
    assert encoder.replicas[0].images.under_way == 0


async def test_what_is_given_up_frees_its_place() -> None:
    """A caller that goes away leaves nothing under way."""
    server = Server()
    server.answers = asyncio.Event()
    encoder = SpreadEncoder({"a": server})
    asking = asyncio.create_task(encoder.encode_images(PICTURES, timeout=TIMEOUT))
    await asyncio.wait_for(server.asked.wait(), TIMEOUT)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert encoder.replicas[0].images.under_way == 0


async def test_servers_come_and_go() -> None:
    """Servers are replaced while requests wait; those that stay keep their windows."""
    first, second, third = Server(), Server(), Server()
    first.answers = asyncio.Event()
    encoder = SpreadEncoder({"a": first})
    kept = encoder.replicas[0]
    asking = asyncio.create_task(encoder.encode_images(PICTURES, timeout=TIMEOUT))
    await settle()
    await encoder.replace({"a": first, "b": second})
    await settle()
    assert encoder.replicas[0] is kept
    assert sum(second.requests) == 21 - 8
    first.answers.set()
    await asyncio.wait_for(asking, TIMEOUT)
    await encoder.replace({"c": third})
    await encoder.encode_images(PICTURES[:1], timeout=TIMEOUT)
    assert (third.requests, list(encoder.describe()["servers"])) == ([1], ["c"])


class Barrier:
    """A gate that is closed until it is released."""

    paused_seconds = 0.0

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def wait_until_open(self) -> None:
        await self.opened.wait()

    def release(self) -> None:
        self.opened.set()


async def test_nothing_passes_a_closed_gate() -> None:
    """While the gate is closed no server is asked; in a hurry it is."""
    server = Server()
    encoder = SpreadEncoder({"a": server}, Barrier())
    asking = asyncio.create_task(encoder.encode_images(PICTURES[:1], timeout=TIMEOUT))
    await settle()
    assert server.requests == []
    encoder.hurry()
    await asyncio.wait_for(asking, TIMEOUT)
    assert server.requests == [1]


class SmallQueue(Server):
    """Refuses what comes while two requests are at work, as a full queue does."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = 0
        self.refused = 0

    async def _take(self, rows: int) -> None:
        if self.at_work >= 2:
            self.refused += 1
            raise BackendOverloadedError("Exceeds maximum queue size")
        self.at_work += 1
        try:
            await asyncio.sleep(0)
        finally:
            self.at_work -= 1


async def test_a_server_that_refuses_is_worked_with(tmp_path: Path) -> None:
    """A job before a server with next to no queue backs off, goes on, and indexes everything."""
    shop = make_shop(tmp_path, 30, views=2)
    store, server = FakeStore(), SmallQueue()
    await store.create(server.space, timeout=TIMEOUT)
    report = await run_job(
        shop, SpreadEncoder({"a": server}), store, batch=16, in_flight=8, backoff=Backoff(8, 0.001, 0.01)
    )
    assert (report.indexed, set(store.rows)) == (60, shop.keys())
    assert server.refused
    assert report.retries <= server.refused
