"""Builds the gateway from its settings and serves until it is told to stop. The only place where things are built."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import prometheus_client
import uvloop

from sosie.engine.milvus import MilvusStore
from sosie.engine.triton import TritonModels
from sosie.gateway.backends import Backends
from sosie.gateway.gate import Gate
from sosie.gateway.health import HealthService
from sosie.gateway.heap import bound_heap
from sosie.gateway.keys import Keyring
from sosie.gateway.lag import LoopLag
from sosie.gateway.server import SERVICE, bind, build_server, drain
from sosie.gateway.service import VisualSearchService
from sosie.gateway.settings import GatewaySettings, port_of
from sosie.gateway.telemetry import Telemetry
from sosie.gateway.weighting import Weighting

_LOG = logging.getLogger(__name__)

_CONNECT_TIMEOUT = 5.0  # seconds
_DECODERS = 4  # threads; decoding holds no lock, so more than the cores only adds switches
_DECODERS_NICE = 10
_WATCH_PAUSE = 1.0  # seconds
_FIRST_LOOK = 10.0  # seconds: both probes' own limits, one after the other


@dataclass(frozen=True)
class Gateway:
    """A gateway that listens on `port`."""

    port: int
    telemetry: Telemetry
    health: HealthService


def build_backends(settings: GatewaySettings) -> Backends:
    """Triton and Milvus as the settings name them; neither is asked yet."""
    return Backends(
        lambda: TritonModels.connect(settings.triton, timeout=_CONNECT_TIMEOUT, urgent=True),
        MilvusStore(settings.store, settings.collection),
        collection=settings.collection,
        repository=settings.models,
        space=settings.space,
    )


@asynccontextmanager
async def run_gateway(settings: GatewaySettings, backends: Backends, *, worker: int = 0) -> AsyncIterator[Gateway]:
    """Listens and answers as number `worker` of `settings.workers`.

    On leaving, calls under way get `settings.grace` seconds, then `backends` is closed. Raises OSError where an address
    is taken, and ValueError where a file of the settings cannot be taken.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(backends.close)
        telemetry = _build_telemetry(settings, stack)
        gate = Gate()
        lag = LoopLag()
        telemetry.loop_lag.set_function(lambda: lag.seconds)
        service = VisualSearchService(
            backends,
            decoders=stack.enter_context(ThreadPoolExecutor(_DECODERS, "decode", _yield_to_the_loop)),
            telemetry=telemetry,
            slots=settings.slots_each(),
            queue=settings.queue,
            default_deadline=settings.default_deadline,
            text_cache=settings.text_cache,
            gate=gate,
            keyring=Keyring(settings.keys, share=1 / settings.workers),
            weighting=Weighting(settings.policy),
            lag=lag,
        )
        health = HealthService(("", SERVICE))
        server = build_server(settings, service, health)
        port = bind(server, settings)
        if settings.metrics is not None:
            _serve_metrics(stack, settings.metrics, worker, telemetry)

        looked = asyncio.Event()

        async def tell_health() -> None:
            if backends.has_looked:
                looked.set()
            health.tell(serving=backends.problem is None)
            telemetry.serving.set(health.serving)
            telemetry.note_models(backends.served, backends.space)

        await tell_health()
        for watching in (_watch(backends, tell_health), lag.watch()):
            stack.push_async_callback(_cancel, asyncio.create_task(watching))
        with contextlib.suppress(TimeoutError):  # else the first calls would fail for what nobody has asked yet
            await asyncio.wait_for(looked.wait(), _FIRST_LOOK)
        await server.start()
        try:
            yield Gateway(port, telemetry, health)
        finally:
            health.stop()
            telemetry.serving.set(0)
            await drain(server, gate, health, settings.grace)


def _yield_to_the_loop() -> None:
    """Has a thread that decodes go after the event loop, which would else refuse what is too much too late.

    Measured on one core with twice the pictures that it can take, and deadlines of 500 ms: goodput 0.79 of capacity
    instead of 0.21.
    """
    if sys.platform == "linux":  # where a thread has a nice value of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _DECODERS_NICE)


def _build_telemetry(settings: GatewaySettings, stack: AsyncExitStack) -> Telemetry:
    if not settings.otlp:
        return Telemetry(log_sample=settings.log_sample)
    from sosie.gateway.tracing import start_tracing  # noqa: PLC0415 -- brings OpenTelemetry

    tracing = start_tracing(settings.otlp, settings.trace_sample)
    stack.push_async_callback(asyncio.to_thread, tracing.close)  # it waits for what is still to be sent
    return Telemetry(log_sample=settings.log_sample, tracing=tracing)


def _serve_metrics(stack: AsyncExitStack, address: str, worker: int, telemetry: Telemetry) -> None:
    host, port = address.rpartition(":")[0], port_of(address)
    if port:
        port += worker
    try:
        server, thread = prometheus_client.start_http_server(port, host, telemetry.registry)
    except OSError as error:
        raise OSError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


async def _watch(backends: Backends, looked: Callable[[], Awaitable[None]]) -> None:
    """Watches for ever, also after an error that nobody expected: else health would say for ever what it said last."""
    while True:
        try:
            await backends.watch(looked)
        except Exception:  # noqa: BLE001 -- told with its traceback
            _LOG.exception("watching Triton and Milvus failed, and begins anew")
        await asyncio.sleep(_WATCH_PAUSE)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def serve(settings: GatewaySettings, *, worker: int = 0, listening: Callable[[int], object]) -> None:
    """Serves until SIGTERM or SIGINT, and calls `listening` with the port once it does.

    For `settings.balancer_wait` seconds after the signal calls are still taken, while health says NOT_SERVING. A second
    signal ends the process at once.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            sys.stderr.write("sosie gateway: stopped at once\n")
            sys.stderr.flush()
            os._exit(1)  # whatever hangs, it does not keep the process
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with run_gateway(settings, build_backends(settings), worker=worker) as gateway:
        listening(gateway.port)
        await stopping.wait()
        gateway.health.stop()
        gateway.telemetry.serving.set(0)
        _LOG.info(
            "stopping: calls are taken for %g s more, then those under way have %g s to finish",
            settings.balancer_wait,
            settings.grace,
        )
        await asyncio.sleep(settings.balancer_wait)


def run(settings: GatewaySettings, *, worker: int = 0, listening: Callable[[int], object] | None = None) -> None:
    """Runs `serve` in an event loop of uvloop's; without `listening` the port goes to the log."""
    host = settings.listen.rpartition(":")[0]
    bound_heap()
    uvloop.run(serve(settings, worker=worker, listening=listening or partial(_LOG.info, "listening on %s:%d", host)))
