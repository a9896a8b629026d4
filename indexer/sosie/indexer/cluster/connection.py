"""The way to a Ray cluster: one that runs already, or one of this machine alone that ends with the run."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from sosie.indexer.cluster.errors import ClusterError

_LOOPBACK = "127.0.0.1"
_MEMORY = 256 * 2**20  # bytes of shared memory: what is sent about is small, pictures stay where they are read


@contextlib.contextmanager
def connect(address: str | None) -> Iterator[None]:
    """Makes this process a driver of the cluster at `host:port`, of which this machine must be a node.

    Without an address Ray is started here, on loopback alone. To be entered off the main thread: there Ray would take
    SIGTERM for itself. Raises ClusterError.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else Ray tells its makers about a cluster that it starts
    options: dict[str, Any] = {}
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's way to say that loopback will do
        options = {"include_dashboard": False, "object_store_memory": _MEMORY, "_node_ip_address": _LOOPBACK}
    import ray  # noqa: PLC0415 - it reads these variables when it is imported

    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"a cluster at {address}" if address else "Ray here"
        raise ClusterError(f"cannot use {where}: {' '.join(str(error).split())}") from error
    try:
        yield
    finally:
        ray.shutdown()


def list_nodes() -> list[str]:
    """The ids of the connected cluster's nodes that take work. Raises ClusterError where there is none."""
    import ray  # noqa: PLC0415 - as above

    known: list[dict[str, Any]] = ray.nodes()
    nodes = [str(node["NodeID"]) for node in known if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise ClusterError("the cluster has no node with a CPU for Ray to use")
    return sorted(nodes)
