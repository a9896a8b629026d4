"""The processes beside Triton: Milvus Lite as a server, and the gateway.

Milvus Lite opens a .db folder for one process only; as a server on loopback it lets the indexer and the gateway use
the same one at a time.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sosie.local.errors import LocalError
from sosie.local.ports import HOST
from sosie.local.processes import Child, read_tail
from sosie.local.waiting import wait_until

START_LIMIT = 90.0
CHECK_LIMIT = 2.0
MILVUS_GRACE = 10.0
GATEWAY_GRACE = 20.0


@dataclass
class Service:
    """A process with an address. `answers(address)` says whether it is up; `stop_signal` asks it to end."""

    name: str
    address: str
    command: tuple[str, ...]
    log: Path
    tag: str
    answers: Callable[[str], bool]
    grace: float
    stop_signal: int = signal.SIGTERM
    environment: Mapping[str, str] = field(default_factory=dict)
    child: Child | None = None

    def spawn(self) -> None:
        """Starts the process and returns at once."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **self.environment}
        self.child = Child.spawn(self.name, self.command, environment=environment, tag=self.tag, log=self.log)

    def start(self, *, limit: float = START_LIMIT, stop: threading.Event | None = None) -> None:
        """Starts the process and returns when it answers. Raises LocalError where it does not within `limit` s."""
        self.log.unlink(missing_ok=True)
        self.spawn()
        child = self.child
        assert child is not None  # noqa: S101 -- spawn() has set it
        if not wait_until(lambda: not child.is_alive or self.answers(self.address), limit=limit, stop=stop, pause=0.1):
            raise LocalError(f"{self.name} did not answer within {limit:.0f} s; see {self.log}")
        if not child.is_alive:
            raise LocalError(f"{self.name} {child.describe_end()}: {read_tail(self.log)}; see {self.log}")

    def stop(self, force: threading.Event | None = None) -> bool:
        """Lets it finish what it is doing, within its grace. True where it ended by itself."""
        return self.child is None or self.child.stop(grace=self.grace, force=force, number=self.stop_signal)


def make_milvus_lite(data: Path, port: int, *, log: Path, tag: str) -> Service:
    """Milvus Lite over the .db folder `data`."""
    command = (sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(data.resolve()), "--host", HOST)
    return Service(
        name="Milvus Lite",
        address=f"{HOST}:{port}",
        command=(*command, "--port", str(port)),
        log=log,
        tag=tag,
        answers=milvus_answers,
        grace=MILVUS_GRACE,
        stop_signal=signal.SIGINT,  # on SIGTERM it would not close its files
    )


def make_gateway(
    port: int, *, metrics_port: int, triton: str, store: str, models: Path, log: Path, tag: str
) -> Service:
    """The gateway, in front of Triton (host:port) and the store (a URI)."""
    return Service(
        name="the gateway",
        address=f"{HOST}:{port}",
        command=(sys.executable, "-m", "sosie.gateway"),
        log=log,
        tag=tag,
        answers=lambda address: read_health(address) is not None,
        grace=GATEWAY_GRACE,
        environment={
            "SOSIE_LISTEN": f"{HOST}:{port}",
            "SOSIE_METRICS": f"{HOST}:{metrics_port}",
            "SOSIE_TRITON": triton,
            "SOSIE_STORE": store,
            "SOSIE_MODELS": str(models.resolve()),
            "SOSIE_LOG_FORMAT": "text",
            "SOSIE_BALANCER_WAIT": "0",  # there is no balancer here, only somebody who waits for the prompt
        },
    )


def milvus_answers(address: str) -> bool:
    """Whether a Milvus answers the smallest of its calls."""
    return _call(address, "/milvus.proto.milvus.MilvusService/GetVersion", b"") is not None


def read_health(address: str) -> str | None:
    """A gateway's health as its health service names it (SERVING, NOT_SERVING), None where it does not answer.

    NOT_SERVING is an answer: it is what a gateway says while no catalog has been indexed.
    """
    from grpc_health.v1 import health_pb2  # noqa: PLC0415 -- the room's other parts need no grpc

    raw = _call(address, "/grpc.health.v1.Health/Check", b"")
    if raw is None:
        return None
    status = health_pb2.HealthCheckResponse.FromString(raw).status
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


def _call(address: str, method: str, request: bytes) -> bytes | None:
    """The answer to a unary call in its raw form, None where there is none."""
    import grpc  # noqa: PLC0415 -- as above

    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            answer: bytes = channel.unary_unary(method, bytes, bytes)(request, timeout=CHECK_LIMIT)
        except grpc.RpcError:
            return None
        return answer
