"""A gateway over fakes, on a free port of this process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from fakes import FakeClassifier, FakeEncoder, FakeModels, write_fake_tokenizer
from gateway_shop import Shop, fill
from sosie.gateway.main import Gateway, run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2_grpc


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop that nothing was indexed of yet."""
    digest = write_fake_tokenizer(tmp_path / "models")
    encoder = FakeEncoder(tokenizer_sha256=digest)
    return Shop(tmp_path / "models", encoder, FakeModels([encoder], [FakeClassifier()]))


@pytest.fixture
async def filled(shop: Shop) -> Shop:
    """Six products, of three colours and two kinds, with two pictures each."""
    await fill(shop)
    return shop


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> GatewaySettings:
    monkeypatch.setenv("SOSIE_LISTEN", "127.0.0.1:0")
    return GatewaySettings(slots=2, queue=2, grace=2)


@pytest.fixture
async def gateway(filled: Shop, settings: GatewaySettings) -> AsyncIterator[Gateway]:
    async with run_gateway(settings, filled.backends()) as running:
        yield running


@pytest.fixture
async def channel(gateway: Gateway) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return visual_search_pb2_grpc.VisualSearchServiceStub(channel)
