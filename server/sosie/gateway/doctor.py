"""Looks at everything that an answer depends on, and says what is wrong."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sosie.engine.errors import EngineError
from sosie.engine.milvus import MilvusStore
from sosie.engine.triton import TritonModels


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `detail` says what was found, or what is wrong."""

    name: str
    ok: bool
    detail: str


async def diagnose(*, triton: str, store: str, collection: str, gateway: str, timeout: float) -> list[Check]:
    """Checks Triton, Milvus, that their embedding spaces agree, and the gateway; `timeout` seconds each."""
    served: set[str] = set()
    indexed: set[str] = set()

    async def ask_triton() -> str:
        models = await TritonModels.connect(triton, timeout=timeout)
        try:
            start = time.monotonic()
            problem = (await models.probe(timeout=timeout)).problem
            if problem is not None:
                raise problem
            milliseconds = (time.monotonic() - start) * 1000
        finally:
            await models.close()
        served.update(models.encoders)
        if not served:
            raise EngineError("no pair of encoders is ready: build models, or serve another repository")
        names = ", ".join([*sorted(served), *(f"classifier {name}" for name in sorted(models.classifiers))])
        return f"{triton} serves {names}; an inference of each took {milliseconds:.0f} ms in all"

    async def ask_store() -> str:
        index = MilvusStore(store, collection)
        try:
            space = await index.space(timeout=timeout)
            count = await index.count(timeout=timeout)
        finally:
            await index.close()
        indexed.add(space.name)
        return f"{store} holds {count:,} pictures in collection {collection!r}"

    async def compare_spaces() -> str:
        if not served or not indexed:
            raise EngineError("cannot be told while Triton or Milvus is away")
        if not indexed <= served:
            raise EngineError(
                f"collection {collection!r} was built in {', '.join(indexed)}, Triton serves "
                f"{', '.join(sorted(served))}: serve that space's models, or index the catalog again"
            )
        return f"index and encoders speak {', '.join(indexed)}"

    async def ask_gateway() -> str:
        async with grpc.aio.insecure_channel(gateway) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise EngineError(f"{gateway} answers {status}: see the checks above")
        return f"{gateway} answers {status}"

    return [
        await _check("triton", ask_triton),
        await _check("index", ask_store),
        await _check("space", compare_spaces),
        await _check("gateway", ask_gateway),
    ]


async def _check(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(name, ok=True, detail=await look())
    except EngineError as error:
        return Check(name, ok=False, detail=str(error))
    except grpc.aio.AioRpcError as error:
        return Check(name, ok=False, detail=f"does not answer: {error.details()}")
