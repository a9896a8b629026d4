"""The options of `sosie index` that say how hard it may work Triton."""

import argparse

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
        type=_milliseconds,
        default=MAX_QUEUE_MS,
        metavar="N",
        help="too long, for --gateway-metrics (default: %(default)g)",
    )


def _addresses(text: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in text.split(",") if address.strip())
    if not addresses or not all(":" in address for address in addresses):
        raise argparse.ArgumentTypeError(f"expected host:port, or several with commas between them, got {text!r}")
    return addresses


def _milliseconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 60_000:  # noqa: PLR2004 - a minute
        raise argparse.ArgumentTypeError(f"expected milliseconds above 0 and up to 60000, got {text!r}")
    return number
