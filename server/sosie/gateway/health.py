"""grpc.health.v1: whether questions can be answered.

Not the servicer of grpcio-health-checking: there, a watcher that leaves keeps the others of its service from hearing
of any change (its Condition is dropped with it), and watchers keep a server that stops waiting for its whole grace.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_Response = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # its package has no types
    """Tells one status for all `services`: NOT_SERVING until `tell`, and for ever after `stop`."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(services)
        self._status = _Response.NOT_SERVING
        self._stopped = False
        self._ended = False
        self._changed = asyncio.Event()

    @property
    def serving(self) -> bool:
        """Whether it says SERVING."""
        return bool(self._status == _Response.SERVING)

    def tell(self, *, serving: bool) -> None:
        """Sets the status; every watcher is told where it is another one."""
        status = _Response.SERVING if serving and not self._stopped else _Response.NOT_SERVING
        if status != self._status:
            self._status = status
            self._wake()

    def stop(self) -> None:
        """NOT_SERVING from now on."""
        self._stopped = True
        self.tell(serving=False)

    def end_watches(self) -> None:
        """Ends every Watch, after it has told the last status."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(  # noqa: N802 -- the rpc's name
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return _Response(status=self._status)

    async def Watch(  # noqa: N802 -- as above
        self, request: health_pb2.HealthCheckRequest, _context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        told = None
        while True:
            changed = self._changed
            status = self._status if request.service in self._services else _Response.SERVICE_UNKNOWN
            if status != told:
                told = status
                yield _Response(status=status)
                continue  # it may have changed while the caller was told
            if self._ended:
                return
            await changed.wait()
