"""Values on command lines, checked as they are read."""

import argparse
from collections.abc import Callable
from typing import Any


def count_up_to(most: int) -> Callable[[str], int]:
    """Reads a whole number from 1 to `most`: a bound against slips of the keyboard."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else 0
        if not 1 <= number <= most:
            raise argparse.ArgumentTypeError(f"expected 1 to {most:,}, got {text!r}")
        return number

    return read


def time_up_to(most: int, unit: str) -> Callable[[str], float]:
    """Reads a time above 0 and up to `most`; `unit` is what it is counted in, e.g. "seconds"."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:  # NaN fails too
            raise argparse.ArgumentTypeError(f"expected {unit} above 0 and up to {most:,}, got {text!r}")
        return number

    return read


def max_rejects(text: str) -> Any:
    """Reads a report.MaxRejects."""
    from sosie.indexer.report import MaxRejects  # noqa: PLC0415 - the top of a command stays light

    try:
        return MaxRejects.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
