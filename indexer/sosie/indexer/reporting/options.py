"""The options of what a run tells machines. Nothing heavy is imported: they are parsed for `--help` too."""

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportingOptions:
    """Where a run tells of itself; None where it does not. `events` is a path, or "-" for standard output."""

    events: str | None = None
    summary: Path | None = None
    textfile: Path | None = None
    pushgateway: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The group "for machines"."""
    add = parser.add_argument_group("for machines").add_argument
    add("--json", action="store_true", help="print the summary as one JSON object")
    add("--summary", type=Path, metavar="FILE", help="write the summary to FILE too, as one JSON object")
    add("--events", metavar="FILE|-", help="append what happens to FILE, one JSON object a line; - is standard output")
    add("--metrics-textfile", type=_prom_file, metavar="FILE", help="write Prometheus metrics to FILE (.prom)")
    add("--pushgateway", metavar="URL", help="push Prometheus metrics to a pushgateway")


def read_options(arguments: argparse.Namespace) -> ReportingOptions:
    """Ends with SystemExit where standard output is promised twice."""
    if arguments.json and arguments.events == "-":
        raise SystemExit("sosie index: --json and --events - both take standard output: give --events a file")
    return ReportingOptions(arguments.events, arguments.summary, arguments.metrics_textfile, arguments.pushgateway)


def _prom_file(text: str) -> Path:
    if not text.endswith(".prom"):  # node_exporter reads no others
        raise argparse.ArgumentTypeError(f"expected a name that ends in .prom, got {text!r}")
    return Path(text)
