"""A gateway over fakes that takes many calls at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from fakes import FakeClassifier, FakeEncoder, FakeModels, write_fake_tokenizer
from gateway_shop import Shop, fill
from sosie.gateway.main import run_gateway
from sosie.gateway.settings import GatewaySettings


@pytest.fixture
async def fake_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a gateway over a filled fake store."""
    encoder = FakeEncoder(tokenizer_sha256=write_fake_tokenizer(tmp_path / "models"))
    shop = Shop(tmp_path / "models", encoder, FakeModels([encoder], [FakeClassifier()]))
    await fill(shop)
    backends = shop.backends()
    await backends.refresh()
    monkeypatch.setenv("SOSIE_LISTEN", "127.0.0.1:0")
    async with (
        run_gateway(GatewaySettings(slots=64, queue=64, grace=2), backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        yield channel
