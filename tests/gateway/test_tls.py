"""TLS on the gateway's port, by real connections: who comes in, and what happens when certificates change."""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from certificates import ServerFiles, make_files
from gateway_shop import Shop
from sosie.gateway import reloading
from sosie.gateway.main import Gateway, run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.gateway.tls import make_credentials


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> ServerFiles:
    """Certificates whose files are looked at with every connection."""
    monkeypatch.setattr(reloading, "_PAUSE", 0.0)
    return make_files(tmp_path, authority)


@pytest.fixture
async def gateway(shop: Shop, settings: GatewaySettings, files: ServerFiles) -> AsyncIterator[Gateway]:
    """A gateway with TLS."""
    with_tls = settings.model_copy(update={"tls_cert": files.certificate, "tls_key": files.key})
    async with run_gateway(with_tls, shop.backends()) as running:
        yield running


@pytest.fixture
async def closed(shop: Shop, settings: GatewaySettings, files: ServerFiles) -> AsyncIterator[Gateway]:
    """A gateway that wants certificates of its clients."""
    update = {"tls_cert": files.certificate, "tls_key": files.key, "tls_client_ca": files.authority}
    async with run_gateway(settings.model_copy(update=update), shop.backends()) as running:
        yield running


def connect(gateway: Gateway, trusted: trustme.CA, client: trustme.LeafCert | None = None) -> grpc.aio.Channel:
    pair = {}
    if client:
        chain = b"".join(blob.bytes() for blob in client.cert_chain_pems)
        pair = {"private_key": client.private_key_pem.bytes(), "certificate_chain": chain}
    credentials = grpc.ssl_channel_credentials(trusted.cert_pem.bytes(), **pair)
    options = (("grpc.use_local_subchannel_pool", 1),)  # a connection of its own each time
    return grpc.aio.secure_channel(f"localhost:{gateway.port}", credentials, options=options)


async def check(channel: grpc.aio.Channel) -> str:
    """What a call to the health service comes to."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def served_certificate(gateway: Gateway, trusted: trustme.CA) -> bytes:
    """What a new connection is shown, in DER."""
    context = ssl.create_default_context(cadata=trusted.cert_pem.bytes().decode())
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("localhost", gateway.port, ssl=context)
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert shown is not None
    return shown


async def test_calls_over_tls(gateway: Gateway, authority: trustme.CA) -> None:
    """Who trusts the gateway's authority comes in; who trusts another, or speaks without TLS, does not."""
    async with connect(gateway, authority) as channel:
        assert await check(channel) == "OK"
    async with connect(gateway, trustme.CA()) as stranger:
        assert await check(stranger) == "UNAVAILABLE"
    async with grpc.aio.insecure_channel(f"localhost:{gateway.port}") as plain:
        assert await check(plain) == "UNAVAILABLE"


async def test_client_certificates(closed: Gateway, authority: trustme.CA) -> None:
    """Where client certificates are wanted, only one that the authority signed comes in."""
    async with connect(closed, authority, authority.issue_cert("shop@example.org")) as known:
        assert await check(known) == "OK"
    async with connect(closed, authority) as bare:
        assert await check(bare) == "UNAVAILABLE"
    async with connect(closed, authority, trustme.CA().issue_cert("shop@example.org")) as other:
        assert await check(other) == "UNAVAILABLE"


async def test_renewed_certificate(gateway: Gateway, files: ServerFiles, authority: trustme.CA) -> None:
    """New connections see a renewed certificate, of another authority even; those that are open go on."""
    before = await served_certificate(gateway, authority)
    async with connect(gateway, authority) as channel:
        assert await check(channel) == "OK"
        successor = trustme.CA()
        files.write(successor)
        assert await served_certificate(gateway, successor) != before
        assert await check(channel) == "OK"
        assert channel.get_state() is grpc.ChannelConnectivity.READY


async def test_renewed_authority_of_clients(closed: Gateway, files: ServerFiles, authority: trustme.CA) -> None:
    """When the authority of client certificates is replaced, those of the former come in no more."""
    successor = trustme.CA()
    files.write(successor)
    async with connect(closed, successor, successor.issue_cert("shop@example.org")) as known:
        assert await check(known) == "OK"
    async with connect(closed, successor, authority.issue_cert("shop@example.org")) as former:
        assert await check(former) == "UNAVAILABLE"


async def test_broken_pair(
    gateway: Gateway, files: ServerFiles, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate whose key is not there yet, or half of one, leaves the old pair served and is logged once."""
    before = await served_certificate(gateway, authority)
    renewed = authority.issue_cert("localhost")
    with caplog.at_level(logging.ERROR):
        files.certificate.write_bytes(renewed.cert_chain_pems[0].bytes())
        for _ in range(2):
            assert await served_certificate(gateway, authority) == before
        files.key.write_bytes(renewed.private_key_pem.bytes()[:100])
        assert await served_certificate(gateway, authority) == before
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 2
        assert "made for another key" in errors[0]
        assert "PRIVATE" not in caplog.text
    files.key.write_bytes(renewed.private_key_pem.bytes())
    os.utime(files.key, ns=(1, 1))
    assert await served_certificate(gateway, authority) != before


def test_wrong_files_at_the_start(files: ServerFiles) -> None:
    """A pair that does not belong together is refused before anybody connects."""
    files.key.write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())
    with pytest.raises(ValueError, match="another key"):
        make_credentials(files.certificate, files.key)
