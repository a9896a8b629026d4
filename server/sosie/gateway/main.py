"""Builds the gateway from its settings and serves until it is told to stop. The only place where things are built."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import grpc.aio
import prometheus_client
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sosie.engine.image import MAX_BYTES
from sosie.engine.milvus import MilvusStore
from sosie.engine.triton import TritonModels
from sosie.gateway.backends import Backends
from sosie.gateway.gate import Gate
from sosie.gateway.health import HealthService
from sosie.gateway.keys import Keyring
from sosie.gateway.service import VisualSearchService
from sosie.gateway.settings import GatewaySettings, port_of
from sosie.gateway.telemetry import Telemetry
from sosie.gateway.tls import make_credentials
from sosie.gateway.weighting import Weighting
from sosie.v1 import visual_search_pb2, visual_search_pb2_grpc

_LOG = logging.getLogger(__name__)

SERVICE = visual_search_pb2.DESCRIPTOR.services_by_name["VisualSearchService"].full_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_CONNECT_TIMEOUT = 5.0  # seconds
_DECODERS = 4  # threads; decoding holds no lock, so more than the cores only adds switches
_QUIET = 0.1  # seconds without a call that comes or goes: then none is on its way
_QUIET_LIMIT = 1.5  # seconds to wait for that
_FLUSH = 0.5  # seconds for the last answers to leave, and for reflection's open streams to end
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_BYTES + 2**20),  # the picture and what goes with it
    ("grpc.keepalive_time_ms", 60_000),  # a client that vanished is noticed, and what it had asked is dropped
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients may look after their connections, too
)


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
        service = VisualSearchService(
            backends,
            decoders=stack.enter_context(ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")),
            telemetry=telemetry,
            slots=settings.slots_each(),
            queue=settings.queue,
            default_deadline=settings.default_deadline,
            text_cache=settings.text_cache,
            gate=gate,
            keyring=Keyring(settings.keys, share=1 / settings.workers),
            weighting=Weighting(settings.policy),
        )
        health = HealthService(("", SERVICE))
        server = _build_server(settings, service, health)
        port = _bind(server, settings)
        if settings.metrics is not None:
            _serve_metrics(stack, settings.metrics, worker, telemetry)

        async def tell_health() -> None:
            health.tell(serving=backends.problem is None)
            telemetry.serving.set(health.serving)
            telemetry.note_models(backends.served, backends.space)

        await tell_health()
        watching = asyncio.create_task(backends.watch(tell_health))
        stack.push_async_callback(_cancel, watching)
        await server.start()
        try:
            yield Gateway(port, telemetry, health)
        finally:
            health.stop()
            telemetry.serving.set(0)
            await _drain(server, gate, health, settings.grace)


def _build_telemetry(settings: GatewaySettings, stack: AsyncExitStack) -> Telemetry:
    if not settings.otlp:
        return Telemetry(log_sample=settings.log_sample)
    from sosie.gateway.tracing import start_tracing  # noqa: PLC0415 -- brings OpenTelemetry

    tracing = start_tracing(settings.otlp, settings.trace_sample)
    stack.push_async_callback(asyncio.to_thread, tracing.close)  # it waits for what is still to be sent
    return Telemetry(log_sample=settings.log_sample, tracing=tracing)


def _build_server(settings: GatewaySettings, service: VisualSearchService, health: HealthService) -> grpc.aio.Server:
    options = [
        *_OPTIONS,
        # Else a second server on the port would start, and take half of the calls.
        ("grpc.so_reuseport", int(settings.workers > 1)),
    ]
    if settings.connection_age:
        options.append(("grpc.max_connection_age_ms", round(settings.connection_age * 1000)))
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=settings.max_calls)
    visual_search_pb2_grpc.add_VisualSearchServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if settings.reflection:
        reflection.enable_server_reflection((SERVICE, HEALTH, reflection.SERVICE_NAME), server)
    return server


def _bind(server: grpc.aio.Server, settings: GatewaySettings) -> int:
    credentials = None
    if settings.tls_cert and settings.tls_key:
        credentials = make_credentials(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    elif settings.keys:
        _LOG.warning("API keys travel in clear text: give SOSIE_TLS_CERT, or put what ends TLS in front")
    try:
        if credentials:
            return server.add_secure_port(settings.listen, credentials)
        return server.add_insecure_port(settings.listen)
    except RuntimeError as error:
        raise OSError(
            f"cannot listen on {settings.listen}: the port is taken, or the host is not this machine"
        ) from error


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


async def _drain(server: grpc.aio.Server, gate: Gate, health: HealthService, grace: float) -> None:
    """Ends the server so that every call gets an answer: those under way theirs, later ones a refusal.

    What arrives between `server.stop` and a client's hearing of it is lost, so that moment should be a quiet one:
    callers who wait for an answer before they ask again are all held by then.
    """
    gate.close()
    await gate.wait_quiet(_QUIET, _QUIET_LIMIT)
    stopping = asyncio.create_task(server.stop(grace + _FLUSH))  # closes the port and tells every client
    await asyncio.sleep(_QUIET)
    gate.refuse()
    health.end_watches()
    await gate.wait_empty(grace)
    await server.stop(_FLUSH)
    await stopping


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
    uvloop.run(serve(settings, worker=worker, listening=listening or partial(_LOG.info, "listening on %s:%d", host)))
