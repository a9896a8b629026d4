"""Builds the gateway from its settings and serves until it is told to stop. The only place where things are built."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc.aio
import prometheus_client
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import ValidationError

from sosie.engine.image import MAX_BYTES
from sosie.engine.milvus import MilvusStore
from sosie.engine.triton import TritonModels
from sosie.gateway.backends import Backends
from sosie.gateway.service import VisualSearchService
from sosie.gateway.settings import GatewaySettings, describe_problems
from sosie.gateway.telemetry import Telemetry
from sosie.v1 import visual_search_pb2, visual_search_pb2_grpc

_LOG = logging.getLogger(__name__)

SERVICE = visual_search_pb2.DESCRIPTOR.services_by_name["VisualSearchService"].full_name

_CONNECT_TIMEOUT = 5.0  # seconds
_DECODERS = 4  # threads; decoding holds no lock, so more than the cores only adds switches
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_BYTES + 2**20),  # the picture and what goes with it
    ("grpc.so_reuseport", 0),  # else a second server on the port would start, and take half of the calls
)


@dataclass(frozen=True)
class Gateway:
    """A gateway that listens on `port`."""

    port: int
    telemetry: Telemetry


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
async def run_gateway(settings: GatewaySettings, backends: Backends) -> AsyncIterator[Gateway]:
    """Listens and answers; on leaving, calls under way get `settings.grace` seconds, then `backends` is closed.

    Raises OSError where an address is taken.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(backends.close)
        telemetry = Telemetry()
        decoders = stack.enter_context(ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode"))
        server = grpc.aio.server(options=_OPTIONS)
        service = VisualSearchService(
            backends,
            decoders=decoders,
            telemetry=telemetry,
            slots=settings.slots,
            queue=settings.queue,
            default_deadline=settings.default_deadline,
        )
        visual_search_pb2_grpc.add_VisualSearchServiceServicer_to_server(service, server)
        health_servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # its package has no types
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        port = _bind(server, settings.listen)
        if settings.metrics is not None:
            _serve_metrics(stack, settings.metrics, telemetry)

        async def tell_health() -> None:
            serving = backends.problem is None
            telemetry.serving.set(serving)
            status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
            for name in ("", SERVICE):
                await health_servicer.set(name, status)

        await tell_health()
        watching = asyncio.create_task(backends.watch(tell_health))
        stack.push_async_callback(_cancel, watching)
        await server.start()
        try:
            yield Gateway(port, telemetry)
        finally:
            await health_servicer.enter_graceful_shutdown()
            await server.stop(settings.grace)


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: the port is taken, or the host is not this machine") from error


def _serve_metrics(stack: AsyncExitStack, address: str, telemetry: Telemetry) -> None:
    host, _, port = address.rpartition(":")
    server, thread = prometheus_client.start_http_server(int(port), host, telemetry.registry)
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def serve(settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT; a second one ends the process at once."""
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
    async with run_gateway(settings, build_backends(settings)) as gateway:
        host = settings.listen.rpartition(":")[0]
        _LOG.info("listening on %s:%d", host, gateway.port)
        await stopping.wait()
        _LOG.info("stopping, calls under way have %g s to finish", settings.grace)


def main() -> int:
    """Runs the gateway as its environment says. 0 after it was told to stop, 1 where it could not start."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        sys.stderr.write("sosie gateway: these settings are wrong\n  " + "\n  ".join(describe_problems(error)) + "\n")
        return 1
    try:
        uvloop.run(serve(settings))
    except OSError as error:
        sys.stderr.write(f"sosie gateway: {error}\n")
        return 1
    return 0
