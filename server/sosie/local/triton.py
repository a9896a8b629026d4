"""A real tritonserver on loopback that serves a model repository on the CPU.

with LocalTriton(models, state) as triton:
    triton.grpc_address  # "127.0.0.1:PORT"
"""

import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sosie.local.errors import LocalError, ServerError
from sosie.local.kserve import Probe, TritonHTTP
from sosie.local.options import DRAIN_LIMIT, check_path, prepare_backends, server_arguments
from sosie.local.ports import HOST, find_ports
from sosie.local.processes import (
    REGION_PREFIX,
    Child,
    ProcessStat,
    find_owned,
    find_regions,
    kill,
    make_tag,
    read_tail,
    sweep,
    sweep_dead_owners,
)
from sosie.local.repository import Repository
from sosie.local.runtime import TritonRuntime, ensure_runtime
from sosie.local.waiting import Say, be_silent, wait_until

START_LIMIT = 180.0
STOP_GRACE = DRAIN_LIMIT + 3.0
REQUEST_LIMIT = 2.0
FIRST_INFERENCE_LIMIT = 60.0
PORT_ATTEMPTS = 3


class LocalTriton:
    """One tritonserver with its stubs, its ports and its shared memory.

    `models` is the model repository, `state` a folder of its own for the log and the backends. A port of 0 is chosen
    free at the first start and kept. Nothing watches it: that is the supervisor's part.
    """

    def __init__(
        self,
        models: Path,
        state: Path,
        *,
        runtime: TritonRuntime | None = None,
        grpc_port: int = 0,
        http_port: int = 0,
        metrics_port: int = 0,
        say: Say = be_silent,
        stop: threading.Event | None = None,
    ) -> None:
        self.log = state / "triton.log"
        self.probes: Mapping[str, Probe] = {}
        self.start_seconds = 0.0
        self._folder = models
        self._state = state
        self._backends = state / "backends"
        self._runtime = runtime
        self._wanted = {"triton": grpc_port, "triton_http": http_port, "triton_metrics": metrics_port}
        self._ports: dict[str, int] = {}
        self._say = say
        self._stop = stop
        self._tag = make_tag()
        self._repository: Repository | None = None
        self._server: Child | None = None
        self._stubs: dict[str, frozenset[int]] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that are served."""
        return self._repository.models if self._repository else ()

    @property
    def grpc_address(self) -> str:
        return f"{HOST}:{self._ports['triton']}"

    @property
    def http_address(self) -> str:
        return f"{HOST}:{self._ports['triton_http']}"

    @property
    def metrics_address(self) -> str:
        return f"{HOST}:{self._ports['triton_metrics']}"

    @property
    def http(self) -> TritonHTTP:
        return TritonHTTP(HOST, self._ports["triton_http"])

    @property
    def server(self) -> Child:
        """The server's process. Raises LocalError before the start."""
        if self._server is None:
            raise LocalError("Triton was not started")
        return self._server

    def start(self) -> None:
        """Starts the server and returns when every model has answered an inference.

        Raises LocalError where there is no model, a model does not load (with the server's reason) or the server does
        not come up; StoppedError once `stop` is set.
        """
        self._repository = Repository.scan(self._folder)
        for name in self._repository.skipped:
            self._say(f"skipping the model {name}: it has no weights (1/model.onnx)")
        check_path(self._folder, "--models")
        check_path(self._state, "--state")
        sweep_dead_owners()
        self._runtime = self._runtime or ensure_runtime(say=self._say, stop=self._stop)
        prepare_backends(self._backends, self._runtime)
        self.log.unlink(missing_ok=True)
        for attempt in range(PORT_ATTEMPTS):
            self._ports = find_ports(**self._wanted)
            try:
                self._launch()
            except LocalError:
                self.stop()
                lost_port = "already in use" in read_tail(self.log, 10)  # someone else was faster
                if not lost_port or attempt == PORT_ATTEMPTS - 1:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def restart(self) -> None:
        """Kills the server with all that it started and starts it again on the same ports."""
        if self._server is not None:
            self._server.kill()
        sweep(self._tag)
        self._launch()

    def stop(self, force: threading.Event | None = None) -> None:
        """Lets running inferences end, at most 7 s or until `force` is set, and leaves nothing behind."""
        if self._server is not None:
            self._server.stop(grace=STOP_GRACE, force=force)
            self._server = None
        sweep(self._tag)
        shutil.rmtree(self._backends, ignore_errors=True)

    def find_stubs(self, model: str) -> frozenset[int]:
        """The PIDs of the processes that hold a model now."""
        graph = f"{self._folder.resolve()}/{model}/".encode()
        found = set()
        for pid, tag in find_owned():
            if tag == self._tag:
                arguments = _read_command(pid)  # stub, graph, region, ...
                if len(arguments) > 1 and arguments[1].startswith(graph) and ProcessStat.read(pid):
                    found.add(pid)
        return frozenset(found)

    def stubs(self, model: str) -> frozenset[int]:
        """The PIDs of the processes that held a model when it was loaded."""
        return self._stubs.get(model, frozenset())

    def reload(self, model: str, *, limit: float) -> None:
        """Kills a model's processes, loads it anew and sends it an inference, all within `limit` seconds.

        Raises ServerError or OSError where that fails.
        """
        end = time.monotonic() + limit
        kill(sorted(self.find_stubs(model)))  # one that hangs would keep the server from unloading
        self.http.unload(model, timeout=_left(end))
        self.http.load(model, timeout=_left(end))
        self.http.send(self.probes[model], timeout=_left(end))
        self._stubs[model] = self.find_stubs(model)
        self._remove_stray_regions()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        """Starts the process and waits for it and its models."""
        assert self._runtime is not None  # noqa: S101 -- start() has set both
        assert self._repository is not None  # noqa: S101
        began = time.monotonic()
        arguments = server_arguments(
            self._repository, self._backends, ports=self._ports, region_prefix=f"{REGION_PREFIX}{self._tag}-"
        )
        command = [str(self._runtime.server), *arguments]
        environment = self._runtime.environment()
        self._server = Child.spawn("tritonserver", command, environment=environment, tag=self._tag, log=self.log)
        server = self._server

        def is_settled() -> bool:
            return not server.is_alive or self.http.is_live(timeout=REQUEST_LIMIT)

        if not wait_until(is_settled, limit=START_LIMIT, stop=self._stop):
            raise LocalError(f"Triton did not come up within {START_LIMIT:.0f} s; see {self.log}")
        if not server.is_alive:
            raise LocalError(f"Triton {server.describe_end()}: {read_tail(self.log)}; see {self.log}")
        try:
            self._check_models()
        except OSError as error:
            raise LocalError(f"Triton came up but does not answer: {error}; see {self.log}") from error
        self.start_seconds = time.monotonic() - began

    def _check_models(self) -> None:
        """Sends every model its first inference. Raises LocalError with the reason of those that did not load."""
        states = {state.name: state for state in self.http.list_models(timeout=REQUEST_LIMIT)}
        failed = [name for name in self.models if name not in states or not states[name].is_ready]
        if failed:
            reasons = "; ".join(f"{name}: {states[name].reason if name in states else 'unknown'}" for name in failed)
            raise LocalError(f"Triton cannot load {reasons}")
        configs = [self.http.read_config(name, timeout=REQUEST_LIMIT) for name in self.models]
        self.probes = {config["name"]: Probe.from_config(config) for config in configs}
        for name, probe in self.probes.items():
            try:
                self.http.send(probe, timeout=FIRST_INFERENCE_LIMIT)
            except ServerError as error:
                raise LocalError(f"the model {name} loads, but fails its first inference: {error}") from error
            self._stubs[name] = self.find_stubs(name)

    def _remove_stray_regions(self) -> None:
        """Removes the shared memory that killed stubs left."""
        commands = [_read_command(pid) for pid, tag in find_owned() if tag == self._tag]
        used = {argument for command in commands for argument in command}
        for region in find_regions(self._tag):
            if region.name.encode() not in used:
                region.unlink(missing_ok=True)


def _read_command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _left(end: float) -> float:
    return max(end - time.monotonic(), 0.05)
