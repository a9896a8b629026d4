"""The gRPC server: what it offers, where it listens, and how it stops without dropping a call."""

import asyncio
import logging

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sosie.engine.image import MAX_BYTES
from sosie.gateway.gate import Gate
from sosie.gateway.health import HealthService
from sosie.gateway.service import VisualSearchService
from sosie.gateway.settings import GatewaySettings
from sosie.gateway.tls import make_credentials
from sosie.v1 import visual_search_pb2

_LOG = logging.getLogger(__name__)

SERVICE = visual_search_pb2.DESCRIPTOR.services_by_name["VisualSearchService"].full_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

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


def build_server(settings: GatewaySettings, service: VisualSearchService, health: HealthService) -> grpc.aio.Server:
    """A server with these services, which does not listen yet."""
    options = [
        *_OPTIONS,
        # Else a second server on the port would start, and take half of the calls.
        ("grpc.so_reuseport", int(settings.workers > 1)),
    ]
    if settings.connection_age:
        options.append(("grpc.max_connection_age_ms", round(settings.connection_age * 1000)))
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=settings.max_calls)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, service.handlers()),))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if settings.reflection:
        reflection.enable_server_reflection((SERVICE, HEALTH, reflection.SERVICE_NAME), server)
    return server


def bind(server: grpc.aio.Server, settings: GatewaySettings) -> int:
    """Has it listen where the settings say, and gives the port. Raises OSError and ValueError."""
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


async def drain(server: grpc.aio.Server, gate: Gate, health: HealthService, grace: float) -> None:
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
