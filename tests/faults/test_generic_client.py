"""A client that was not written here: grpc_requests, which knows of the gateway what its reflection tells."""

import base64
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_requests.aio import AsyncClient
from grpc_status import rpc_status

from faults.conftest import House
from faults.gateway_process import SERVICE, HealthWatch
from gateway_shop import draw

pytestmark = pytest.mark.slow

HEALTH = "grpc.health.v1.Health"
LIMIT = 60.0


async def test_by_reflection_alone(house: House) -> None:
    """By reflection alone it lists the services, asks all three rpcs and reads what is wrong with a question."""
    picture = {"data": base64.b64encode(draw("red", "shoe")).decode()}
    async with house.gateway() as gateway, HealthWatch(gateway.address) as health:
        await health.until("SERVING", limit=LIMIT)
        async with AsyncClient(gateway.address) as client:
            assert {SERVICE, HEALTH} <= set(await client.service_names())

            found = await client.request(
                SERVICE, "SearchByText", {"sentence": "red shoe", "options": {"top_k": 2}}, timeout=LIMIT
            )
            assert len(found["hits"]) == 2
            found = await client.request(SERVICE, "SearchByImage", {"image": picture}, timeout=LIMIT)
            assert found["hits"][0]["product"]["title"]
            found = await client.request(SERVICE, "Classify", {"image": picture}, timeout=LIMIT)
            assert {label["label"] for label in found["classifications"][0]["labels"]} == {"red", "green", "blue"}

            with pytest.raises(grpc.RpcError) as refused:
                await client.request(SERVICE, "SearchByText", {"sentence": " "}, timeout=LIMIT)
            assert read_reason(refused.value) == "INVALID_INPUT"


def read_reason(error: Any) -> str:
    """The reason in an error's details."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def test_health_probe(house: House) -> None:
    """A health probe checks the server and the service, watches, and hears of an unknown one that there is none."""
    async with house.gateway() as gateway, HealthWatch(gateway.address) as health:
        await health.until("SERVING", limit=LIMIT)
        async with AsyncClient(gateway.address) as client:
            for name in ("", SERVICE):
                answer = await client.request(HEALTH, "Check", {"service": name}, timeout=LIMIT)
                assert answer == {"status": "SERVING"}
            with pytest.raises(grpc.RpcError) as unknown:
                await client.request(HEALTH, "Check", {"service": "sosie.v2"}, timeout=LIMIT)
            assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
            watching = await client.request(HEALTH, "Watch", {"service": SERVICE}, timeout=LIMIT)
            assert await anext(aiter(watching)) == {"status": "SERVING"}
