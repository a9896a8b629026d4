"""A gateway with TLS and keys, asked by the SDK and by plain stubs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from certificates import make_files
from gateway_shop import Shop
from sosie.client import Client
from sosie.client.errors import AccessDenied, Overloaded
from sosie.gateway.keys import make_key
from sosie.gateway.main import run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes())


@pytest.fixture
def keys() -> dict[str, str]:
    """A key for one who may ask, and for one who may ask once in a thousand seconds."""
    return {"website": "", "slow": ""}


@pytest.fixture
async def address(
    filled: Shop, settings: GatewaySettings, authority: trustme.CA, keys: dict[str, str], tmp_path: Path
) -> AsyncIterator[str]:
    """Where the gateway is."""
    lines = []
    for name, rate in (("website", ""), ("slow", ", rate = 0.001")):
        keys[name], digest = make_key()
        lines.append(f'{name} = {{ sha256 = "{digest}"{rate} }}\n')
    (tmp_path / "keys.toml").write_text("".join(lines))
    files = make_files(tmp_path, authority)
    update = {"tls_cert": files.certificate, "tls_key": files.key, "keys": tmp_path / "keys.toml"}
    backends = filled.backends()
    await backends.refresh()
    async with run_gateway(settings.model_copy(update=update), backends) as gateway:
        yield f"localhost:{gateway.port}"


async def test_sdk_with_key_and_tls(address: str, keys: dict[str, str], trust: grpc.ChannelCredentials) -> None:
    """The SDK asks over TLS with its key; with an unknown one, or none, it is told that it may not."""

    def search(api_key: str | None) -> int:
        with Client(address, api_key=api_key, credentials=trust) as client:
            return len(client.search_by_text("red").hits)

    assert await asyncio.to_thread(search, keys["website"]) > 0
    for wrong in ("sosie_unknown", None):
        with pytest.raises(AccessDenied, match="API key") as caught:
            await asyncio.to_thread(search, wrong)
        assert caught.value.reason == "UNAUTHENTICATED"


async def test_rate(address: str, keys: dict[str, str], trust: grpc.ChannelCredentials) -> None:
    """Beyond its rate a caller is told when to come back."""

    def search_twice() -> None:
        with Client(address, api_key=keys["slow"], credentials=trust) as client:
            client.search_by_text("red")
            client.search_by_text("red")

    with pytest.raises(Overloaded) as caught:
        await asyncio.to_thread(search_twice)
    assert caught.value.reason == "RATE_LIMITED"
    assert caught.value.retry_after == pytest.approx(1000, rel=0.1)


async def test_what_needs_no_key(address: str, trust: grpc.ChannelCredentials) -> None:
    """Health is told to everybody, and a question without a key is refused before it is looked at."""
    async with grpc.aio.secure_channel(address, trust) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=10)).status == 1  # SERVING
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SearchByText(pb.SearchByTextRequest(), timeout=10)
    error: Any = caught.value
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(error).details[0].Unpack(info)
    assert (error.code(), info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


@pytest.mark.parametrize("key", ["", "a b", "schlüssel", "new\nline"])
def test_key_that_cannot_be_sent(key: str) -> None:
    """A key that metadata cannot hold is refused at once, and not repeated."""
    with pytest.raises(ValueError, match="api_key: must be") as caught:
        Client("localhost:1", api_key=key)
    assert not key or key not in str(caught.value).replace("api_key", "")
