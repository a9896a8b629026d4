"""Nodes of a Ray cluster in a process of their own, on loopback: one at first, by lines of stdin more or fewer.

"add" starts a node, "kill" ends the last of those at once, with all that runs on it; the end of stdin ends everything.
Each line is answered with one, the first of all is the cluster's address.
"""

import os
import sys
import tempfile
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported, as the others
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else it takes another address than loopback's for its own

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1"}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def start() -> Any:
    """The head: tried again, for Ray gives up where it is not up within half a minute of a busy machine."""
    for last in (False, False, True):
        try:
            return Cluster(True, head_node_args={**NODE, "include_dashboard": False})
        except Exception:  # Ray says no more
            if last:
                raise
    raise AssertionError


def main() -> None:
    """Ends with stdin."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short: it holds sockets
        os.environ["RAY_TMPDIR"] = folder
        cluster: Any = start()
        added = []
        try:
            say(cluster.address)
            for line in sys.stdin:
                if line == "add\n":
                    added.append(cluster.add_node(**NODE))
                else:
                    cluster.remove_node(added.pop(), allow_graceful=False)
                say("done")
        finally:
            cluster.shutdown()


if __name__ == "__main__":
    main()
