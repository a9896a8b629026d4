"""The options of `sosie index` for the machines that the work is done on."""

import argparse
import os
from dataclasses import dataclass

from sosie.indexer.arguments import count_up_to

_MOST = 4096


@dataclass(frozen=True)
class ClusterOptions:
    """A Ray cluster: at `host:port`, or on this machine alone. `workers` is one a node where it is None."""

    address: str | None = None
    workers: int | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Imports nothing heavy."""
    add = parser.add_argument_group("more than one machine").add_argument
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where the work is done: in this process, or by the nodes of a Ray cluster (default: %(default)s)",
    )
    add(
        "--ray",
        metavar="HOST:PORT",
        help="with --engine ray: the cluster that this machine is a node of; default $RAY_ADDRESS, else one of this "
        "machine alone is started",
    )
    add(
        "--workers",
        type=count_up_to(_MOST),
        metavar="N",
        help="with --engine ray: jobs side by side (default: one a node)",
    )


def read_options(arguments: argparse.Namespace, store: str) -> ClusterOptions | None:
    """None for the local engine. Ends with SystemExit where the options do not fit together, or with the store."""
    if arguments.engine == "local":
        unused = [name for name, given in (("--ray", arguments.ray), ("--workers", arguments.workers)) if given]
        if unused:
            raise SystemExit(f"sosie index: {unused[0]} is for --engine ray")
        return None
    if arguments.near_duplicates != "ignore":
        raise SystemExit("sosie index: --near-duplicates is for --engine local: it holds pictures against one another")
    if store.endswith(".db"):
        raise SystemExit(
            f"sosie index: --engine ray writes from several processes, {store} takes one: name a Milvus server by "
            "--store http://host:port"
        )
    return ClusterOptions(arguments.ray or os.environ.get("RAY_ADDRESS") or None, arguments.workers)
