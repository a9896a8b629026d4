"""The way to a Ray cluster: one that runs already, or one of this machine alone that ends with the run."""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from sosie.indexer.cluster.errors import ClusterError

_LOOPBACK = "127.0.0.1"
_CONNECTING = 10.0  # seconds
_MEMORY = 256 * 2**20  # bytes of shared memory: what is sent about is small, pictures stay where they are read


def prepare(address: str | None) -> None:
    """Settles what Ray reads when it is imported; to be called before. Raises ClusterError where no cluster answers."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else Ray tells its makers about a cluster that it starts
    if address is None or _reach(address) == _LOOPBACK:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = (
            "0"  # else it puts another address of ours in loopback's place
        )


@contextlib.contextmanager
def connect(address: str | None) -> Iterator[None]:
    """Makes this process a driver of the cluster at `host:port`, of which this machine must be a node.

    Without an address Ray is started here, on loopback alone. To be entered off the main thread: there Ray would take
    SIGTERM for itself. Raises ClusterError.
    """
    import ray  # noqa: PLC0415 - after `prepare`

    options: dict[str, Any] = {}
    if address is None:
        options = {"include_dashboard": False, "object_store_memory": _MEMORY, "_node_ip_address": _LOOPBACK}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"the cluster at {address}" if address else "Ray here"
        raise ClusterError(f"cannot use {where}: {' '.join(str(error).split())}") from error
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints what happens to nodes, some of it when it ends
        try:
            yield
        finally:
            ray.shutdown()


def _reach(address: str) -> str:
    """The cluster's host as an address. Raises ClusterError where nobody listens there: Ray itself would wait long."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ClusterError(f"--ray takes host:port, got {address!r}")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECTING) as connection:
            return str(connection.getpeername()[0])
    except (OSError, OverflowError) as error:
        raise ClusterError(f"no Ray cluster listens at {address}: {error}") from error


def restore_signals() -> None:
    """Puts Python's handlers back in the place of those that Ray has in C, which end the process where they print.

    To be called in the main thread, once connected.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.getsignal(number))
        signal.siginterrupt(number, False)  # as asyncio has it


def list_nodes() -> list[str]:
    """The ids of the connected cluster's nodes that take work. Raises ClusterError where there is none."""
    import ray  # noqa: PLC0415 - as above

    known: list[dict[str, Any]] = ray.nodes()
    nodes = [str(node["NodeID"]) for node in known if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise ClusterError("the cluster has no node with a CPU for Ray to use")
    return sorted(nodes)
