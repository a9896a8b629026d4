"""Triton, Milvus Lite and the gateway as one thing that starts, is watched and stops.

with LocalStack(models, state) as stack:
    stack.addresses  # {"triton": "127.0.0.1:PORT", "store": "http://127.0.0.1:PORT", "gateway": ...}
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sosie.local.errors import GaveUpError, LocalError
from sosie.local.ports import HOST, find_ports
from sosie.local.processes import make_tag, sweep
from sosie.local.repository import Repository
from sosie.local.services import Service, make_gateway, make_milvus_lite
from sosie.local.state import StateFolder
from sosie.local.supervisor import Limits, Supervisor
from sosie.local.triton import LocalTriton
from sosie.local.waiting import Say, be_silent

JOIN_LIMIT = 60.0


@dataclass(frozen=True)
class Ports:
    """0 is any free port."""

    triton: int = 0
    triton_http: int = 0
    triton_metrics: int = 0
    store: int = 0
    gateway: int = 0
    metrics: int = 0


class LocalStack:
    """All that one machine runs.

    `store` is a .db path, which Milvus Lite serves (default: sosie.db in the state folder), or the URI of a Milvus
    that runs already. As a context manager it watches in a thread of its own; `failure` is why that gave up.
    """

    def __init__(
        self,
        models: Path,
        state: Path,
        *,
        store: str | None = None,
        gateway: bool = True,
        ports: Ports | None = None,
        limits: Limits | None = None,
        say: Say = be_silent,
    ) -> None:
        self.stopping = threading.Event()
        """Set it to end `watch`, or to break off `start`."""
        self.forcing = threading.Event()
        """Set it to wait for nothing while stopping."""
        self.failure: GaveUpError | None = None
        self.addresses: Mapping[str, str] = {}
        self._models = models
        self._state = StateFolder(state)
        self._store = store or str(state / "sosie.db")
        self._with_gateway = gateway
        self._ports = ports or Ports()
        self._limits = limits
        self._say = say
        self._tag = make_tag()
        self._services: list[Service] = []
        self._triton: LocalTriton | None = None
        self._thread: threading.Thread | None = None

    @property
    def triton(self) -> LocalTriton:
        """Raises LocalError before the start."""
        if self._triton is None:
            raise LocalError("the local stack was not started")
        return self._triton

    @property
    def services(self) -> tuple[Service, ...]:
        return tuple(self._services)

    def start(self) -> None:
        """Starts everything and publishes the addresses when all of it answers.

        Raises LocalError with nothing left running; StoppedError once `stopping` is set.
        """
        Repository.scan(self._models)  # the commonest mistake is found before anything is touched
        self._state.claim()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Keeps everything answering until `stopping` is set. Raises GaveUpError when that fails."""
        Supervisor(self.triton, self._services, limits=self._limits, say=self._say).run(self.stopping)

    def stop(self) -> None:
        """Drains and stops everything, the gateway first, and leaves nothing behind."""
        for service in reversed(self._services):
            self._say(f"stopping {service.name}")
            if not service.stop(self.forcing):
                self._say(f"{service.name} did not end by itself and was killed")
        if self._triton is not None:
            self._say("stopping Triton")
            self._triton.stop(self.forcing)
        sweep(self._tag)
        self._state.release()

    def __enter__(self) -> Self:
        self.start()
        self._thread = threading.Thread(target=self._watch_quietly, name="supervisor", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_LIMIT)
        self.stop()

    def _watch_quietly(self) -> None:
        try:
            self.watch()
        except GaveUpError as error:
            self.failure = error

    def _start(self) -> None:
        folder, wanted = self._state.path, self._ports
        self._triton = LocalTriton(
            self._models,
            folder,
            grpc_port=wanted.triton,
            http_port=wanted.triton_http,
            metrics_port=wanted.triton_metrics,
            say=self._say,
            stop=self.stopping,
        )
        self._say(f"starting Triton with the models of {self._models}")
        self._triton.start()
        models = ", ".join(self._triton.models)
        self._say(f"Triton answers for {models} after {self._triton.start_seconds:.1f} s")
        store = self._store
        if not store.startswith(("http://", "https://")):
            port = find_ports(store=wanted.store)["store"]
            self._launch(make_milvus_lite(Path(store), port, log=folder / "milvus.log", tag=self._tag))
            store = f"http://{HOST}:{port}"
        addresses = {
            "triton": self._triton.grpc_address,
            "triton_http": self._triton.http_address,
            "triton_metrics": self._triton.metrics_address,
            "store": store,
        }
        if self._with_gateway:
            ports = find_ports(gateway=wanted.gateway, metrics=wanted.metrics)
            self._launch(
                make_gateway(
                    ports["gateway"],
                    metrics_port=ports["metrics"],
                    triton=self._triton.grpc_address,
                    store=store,
                    models=self._models,
                    log=folder / "gateway.log",
                    tag=self._tag,
                )
            )
            addresses |= {name: f"{HOST}:{port}" for name, port in ports.items()}
        self.addresses = addresses
        self._state.publish({**addresses, "models": str(self._models.resolve())})

    def _launch(self, service: Service) -> None:
        self._say(f"starting {service.name}")
        self._services.append(service)
        service.start(stop=self.stopping)
