"""The Tritons behind `--triton`: addresses, names, and what comes and goes."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from canned_triton import CannedTriton, run_canned
from fakes import FAKE_SPACE
from sosie.engine.errors import BackendUnavailableError
from sosie.engine.inference import Encoder
from sosie.engine.space import EmbeddingSpace
from sosie.indexer.encoding import servers as module
from sosie.indexer.encoding.servers import Servers, follow
from sosie.indexer.encoding.spreading import SpreadEncoder

TIMEOUT = 10.0
NOBODY = "127.0.0.1:1"


@pytest.fixture
async def one() -> AsyncIterator[CannedTriton]:
    async with run_canned(CannedTriton()) as triton:
        yield triton


@pytest.fixture
async def other() -> AsyncIterator[CannedTriton]:
    async with run_canned(CannedTriton()) as triton:
        yield triton


def pictures(encoder: Encoder, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    size = encoder.image_input.size
    return np.zeros((count, size, size, 3), np.uint8)


async def test_several_addresses_are_all_asked(one: CannedTriton, other: CannedTriton) -> None:
    """Requests go to each of the listed servers; one that is away is left out."""
    servers = Servers(f"{one.address}, {other.address},{NOBODY}", TIMEOUT)
    try:
        await servers.connect()
        replicas = servers.replicas(FAKE_SPACE.name)
        assert set(replicas) == {one.address, other.address}
        assert isinstance(servers.problem, BackendUnavailableError)
        encoder = SpreadEncoder(replicas)
        assert (encoder.max_pictures, encoder.max_sentences) == (4, 4)
        parts = await encoder.encode_images(pictures(encoder, 30), timeout=TIMEOUT)
        assert all(values.shape[0] == 30 for values in parts.values())
        assert len(one.metadata) + len(other.metadata) == 8
        assert one.metadata
        assert other.metadata
    finally:
        await servers.close()


async def test_no_server_at_all_is_an_error() -> None:
    """Where none of the addresses answers, connecting fails as it does with one."""
    servers = Servers(f"{NOBODY},127.0.0.1:2", TIMEOUT)
    with pytest.raises(BackendUnavailableError):
        await servers.connect()
    await servers.close()


@pytest.mark.parametrize("name", ["dns:///no.such.host.invalid:8001", "dns:///localhost:port", "dns:///localhost"])
async def test_a_name_that_stands_for_nothing(name: str) -> None:
    """A name that cannot be looked up is told as it was written."""
    with pytest.raises(BackendUnavailableError, match=name):
        await Servers(name, TIMEOUT).connect()


async def test_a_name_stands_for_its_addresses(one: CannedTriton) -> None:
    """What a name resolves to is connected to, each address by itself."""
    servers = Servers(f"dns:///localhost:{one.address.rpartition(':')[2]}", TIMEOUT)
    try:
        await servers.connect()
        assert one.address in servers.replicas(FAKE_SPACE.name)
    finally:
        await servers.close()


async def test_servers_of_another_space_are_left_out(one: CannedTriton) -> None:
    """Replicas of a space are those that serve it; all spaces can be chosen from."""
    space = EmbeddingSpace("fake-2", FAKE_SPACE.parts, FAKE_SPACE.label_part, FAKE_SPACE.label_scale)
    async with run_canned(CannedTriton(space)) as stranger:
        servers = Servers(f"{one.address},{stranger.address}", TIMEOUT)
        try:
            await servers.connect()
            assert set(servers.encoders()) == {FAKE_SPACE.name, "fake-2"}
            assert set(servers.replicas("fake-2")) == {stranger.address}
        finally:
            await servers.close()


async def test_a_name_is_followed(one: CannedTriton, other: CannedTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a name comes to stand for another server, requests go there, and nowhere for want of a name."""
    stands_for = [one.address]

    async def look_up(name: str) -> list[str]:
        if not stands_for:
            raise BackendUnavailableError(f"{name} cannot be looked up")
        return stands_for

    monkeypatch.setattr(module, "_look_up", look_up)
    servers = Servers("dns:///triton:8001", TIMEOUT)
    try:
        await servers.connect()
        encoder = SpreadEncoder(servers.replicas(FAKE_SPACE.name))

        async def until_asked(triton: CannedTriton) -> None:
            before = len(triton.metadata)
            while len(triton.metadata) == before:
                await encoder.encode_images(pictures(encoder, 1), timeout=TIMEOUT)
                await asyncio.sleep(0.01)

        async with follow(servers, encoder, every=0.01):
            await asyncio.wait_for(until_asked(one), TIMEOUT)
            stands_for[:] = [other.address]
            await asyncio.wait_for(until_asked(other), TIMEOUT)
            stands_for.clear()
            await asyncio.wait_for(until_asked(other), TIMEOUT)
            assert list(encoder.describe()["servers"]) == [other.address]
    finally:
        await servers.close()
