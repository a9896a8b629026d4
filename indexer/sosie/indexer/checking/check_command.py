"""`sosie catalog check`: a dry run of `sosie index`."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.indexer.arguments import count_up_to, max_rejects
from sosie.indexer.cleaning.options import add_arguments as add_cleaning_arguments
from sosie.indexer.cleaning.options import read_options
from sosie.indexer.reporting.exit_status import TOO_MANY_REJECTS

if TYPE_CHECKING:
    from sosie.indexer.checking.dry_run import Settings

HELP = "say of each line of a catalog what an indexing would make of it, without indexing anything"

_NAME = "sosie catalog check"
_SECONDS_BETWEEN_WORDS = 5.0
_MOST_THREADS = 1024
_EPILOG = """\
exit status:
  0  nothing speaks against indexing; a warning on standard error where something would fall out
  1  failed; one line on standard error says why
  2  wrong usage
  3  more rejects than --max-rejects; with --strict, any reject and any doubt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(refuse_usage=parser.error)
    parser.add_argument("catalog", type=Path, metavar="CATALOG", help="a file, a folder, or a glob in quotes")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="the folder of the pictures' paths; else none is looked at"
    )
    parser.add_argument("--decode", action="store_true", help="read and decode every picture, too")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to list the verdicts (default: CATALOG.check.jsonl)"
    )
    parser.add_argument(
        "--max-rejects",
        type=max_rejects,
        default="5%",
        metavar="N|P%",
        help="more rejects than this make the check fail (default: 5%%)",
    )
    parser.add_argument("--strict", action="store_true", help="fail where anything is rejected or doubtful")
    parser.add_argument(
        "--threads",
        type=count_up_to(_MOST_THREADS),
        default=os.cpu_count() or 1,
        metavar="N",
        help="that look at pictures (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    add_cleaning_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from sosie.indexer.checking.dry_run import check_catalog  # noqa: PLC0415 - the top of a command stays light
    from sosie.indexer.checking.summary import format_summary  # noqa: PLC0415

    settings = _read_settings(arguments)
    try:
        outcome = check_catalog(settings, _Progress().tell)
    except OSError as error:
        raise SystemExit(
            f"{_NAME}: {error.filename}: {error.strerror}" if error.filename else f"{_NAME}: {error}"
        ) from error
    report = outcome.report
    print(json.dumps(report, ensure_ascii=False) if arguments.json else format_summary(report))
    if report["left_out_files"]:
        first = report["left_out_first"]
        _say(f"warning: files of other kinds that are left out: {report['left_out_files']:,}, the first is {first}")
    listed = f"{outcome.rejected:,} of {outcome.offered:,} would be rejected"
    if outcome.failed:
        bound = (
            "--strict allows no reject and no doubt"
            if settings.strict
            else f"more than --max-rejects {settings.max_rejects}"
        )
        _say(f"{listed}: {bound}")
        return TOO_MANY_REJECTS
    if outcome.rejected:
        _say(f"warning: {listed}")
    return 0


def _read_settings(arguments: argparse.Namespace) -> "Settings":
    from sosie.indexer.checking.dry_run import Settings  # noqa: PLC0415 - the top of a command stays light
    from sosie.indexer.reading.files import holds, name_beside  # noqa: PLC0415

    if not arguments.images and (arguments.decode or arguments.near_duplicates != "ignore"):
        arguments.refuse_usage("--decode and --near-duplicates need the pictures: give --images DIR")
    out = arguments.out or name_beside(arguments.catalog, ".check.jsonl")
    if holds(arguments.catalog, out):
        raise SystemExit(f"{_NAME}: --out {out} is a file of the catalog: name another")
    return Settings(
        catalog=arguments.catalog,
        images=arguments.images,
        out=out,
        cleaning=read_options(arguments, _NAME),
        max_rejects=arguments.max_rejects,
        strict=arguments.strict,
        decode=arguments.decode,
        threads=arguments.threads,
    )


class _Progress:
    """A line on standard error every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def tell(self, doing: str, share: float) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_WORDS:
            self._last = time.monotonic()
            _say(f"{doing}: {share:.0%}")


def _say(text: str) -> None:
    print(f"{_NAME}: {text}", file=sys.stderr, flush=True)
