"""A gateway in a process of its own, what it says of its health and its load, and what it holds."""

import asyncio
import contextlib
import math
import os
import signal
import time
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from sosie.local.ports import find_ports
from sosie.local.processes import make_tag
from sosie.local.services import Service, make_gateway
from sosie.local.waiting import wait_until

SERVICE = "sosie.v1.VisualSearchService"
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Held:
    """What a process holds: file descriptors, threads, and bytes of memory of its own."""

    files: int
    threads: int
    memory: int


class GatewayProcess:
    """A running `python -m sosie.gateway`."""

    def __init__(self, service: Service, metrics: str) -> None:
        self.service = service
        self._metrics = metrics

    @property
    def address(self) -> str:
        return self.service.address

    @property
    def pid(self) -> int:
        assert self.service.child is not None
        return self.service.child.pid

    def held(self) -> Held:
        process = Path(f"/proc/{self.pid}")
        _, resident, shared, *_ = (process / "statm").read_text().split()
        return Held(
            files=len(list((process / "fd").iterdir())),
            threads=len(list((process / "task").iterdir())),
            memory=(int(resident) - int(shared)) * _PAGE_SIZE,
        )

    def metric(self, name: str, **labels: str) -> float:
        """A sample's value, summed over the labels that are not given; 0 where there is none."""
        return sum(sample.value for sample in self._samples(name) if labels.items() <= sample.labels.items())

    def slowest(self) -> float:
        """The histogram's bound, in seconds, below which all calls so far were done."""
        counts: defaultdict[float, float] = defaultdict(float)
        for sample in self._samples("sosie_request_duration_seconds_bucket"):
            counts[float(sample.labels["le"])] += sample.value
        return min(bound for bound, count in counts.items() if count == counts[math.inf])

    def _samples(self, name: str) -> list[Sample]:
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=10) as page:
            families = text_string_to_metric_families(page.read().decode())
        return [sample for family in families for sample in family.samples if sample.name == name]

    async def until(self, condition: Callable[[], bool], *, limit: float) -> None:
        """Waits until a condition holds, looked at ten times a second."""
        assert await asyncio.to_thread(wait_until, condition, limit=limit, pause=0.1)

    async def until_idle(self, *, limit: float) -> None:
        """Waits until it works on nothing and nobody waits."""
        await self.until(lambda: self.metric("sosie_in_flight") == 0 and self.metric("sosie_queued") == 0, limit=limit)

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    async def exit_status(self, *, limit: float) -> int:
        """The status that it ends with."""
        child = self.service.child
        assert child is not None
        await self.until(lambda: not child.is_alive, limit=limit)
        assert child.exit_status is not None
        return child.exit_status


@contextlib.asynccontextmanager
async def run_gateway_process(
    *, triton: str, store: str, models: Path, folder: Path, **settings: object
) -> AsyncIterator[GatewayProcess]:
    """A gateway with these settings, by their names in GatewaySettings; killed in the end if it runs still."""
    ports = find_ports(gateway=0, metrics=0)
    service = make_gateway(
        ports["gateway"],
        metrics_port=ports["metrics"],
        triton=triton,
        store=store,
        models=models,
        log=folder / "gateway.log",
        tag=make_tag(),
    )
    more = {f"SOSIE_{name.upper()}": str(value) for name, value in settings.items()}
    service = replace(service, environment={**service.environment, **more})
    await asyncio.to_thread(service.start)
    try:
        yield GatewayProcess(service, service.environment["SOSIE_METRICS"])
    finally:
        assert service.child is not None
        await asyncio.to_thread(service.child.kill)


class HealthWatch:
    """All that a gateway's Watch stream says, with the moment of each on the monotonic clock."""

    def __init__(self, address: str, service: str = SERVICE) -> None:
        self.said: list[tuple[float, str]] = []
        self._service = service
        self._channel = grpc.aio.insecure_channel(address)
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def now(self) -> str:
        return self.said[-1][1] if self.said else ""

    async def until(self, status: str, *, limit: float) -> float:
        """Seconds from now until it says so; 0 where it does already."""
        began = time.monotonic()
        async with asyncio.timeout(limit), self._changed:
            await self._changed.wait_for(lambda: self.now == status)
        return max(0.0, self.said[-1][0] - began)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._channel.close(None)

    async def _read(self) -> None:
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        call = stub.Watch(health_pb2.HealthCheckRequest(service=self._service))
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for answer in call:
                name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
                async with self._changed:
                    self.said.append((time.monotonic(), name))
                    self._changed.notify_all()
        async with self._changed:
            self.said.append((time.monotonic(), "ENDED"))
            self._changed.notify_all()
