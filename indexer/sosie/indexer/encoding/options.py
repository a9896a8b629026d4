"""The options of `sosie index` that say how hard it may work Triton."""

import argparse

from sosie.indexer.arguments import time_up_to

MAX_QUEUE_MS = 50.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway-metrics",
        type=_addresses,
        default=(),
        metavar="HOST:PORT,...",
        help="where gateways publish their metrics: nothing is encoded while calls wait too long in their queues",
    )
    parser.add_argument(
        "--max-queue-ms",
        type=time_up_to(60_000, "milliseconds"),
        default=MAX_QUEUE_MS,
        metavar="N",
        help="too long, for --gateway-metrics (default: %(default)g)",
    )


def _addresses(text: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in text.split(",") if address.strip())
    if not addresses or not all(":" in address for address in addresses):
        raise argparse.ArgumentTypeError(f"expected host:port, or several with commas between them, got {text!r}")
    return addresses
