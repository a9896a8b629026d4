"""`sosie catalog categories`: what the category files do not cover, and what it may become."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sosie.indexer.cleaning.coverage import Coverage

HELP = "list the categories that the category files do not cover, and propose entries"

_NAME = "sosie catalog categories"
_EPILOG = """\
exit status: 0 done, whatever is covered; 1 failed, with one line that says why; 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("catalog", type=Path, metavar="CATALOG", help="a file, a folder or a quoted glob")
    parser.add_argument("--categories", type=Path, metavar="PATH", help="the category files: one, or their folder")
    parser.add_argument("--shop", metavar="NAME", help="only this shop's categories")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--toml", action="store_true", help="print entries for a category file, to be edited by hand")
    form.add_argument("--json", action="store_true", help="print one JSON object a category")


def run(arguments: argparse.Namespace) -> int:
    from sosie.indexer.cleaning.categories import CategoryMap  # noqa: PLC0415 - the top of a command stays light
    from sosie.indexer.cleaning.coverage import find_uncovered  # noqa: PLC0415
    from sosie.indexer.cleaning.tables import TableError  # noqa: PLC0415

    try:
        categories = CategoryMap.read(arguments.categories) if arguments.categories else CategoryMap()
        coverage = find_uncovered(arguments.catalog, categories, arguments.shop)
    except TableError as error:
        raise SystemExit(f"{_NAME}: {error}") from error
    except OSError as error:
        raise SystemExit(f"{_NAME}: {error.filename or arguments.catalog}: {error.strerror or error}") from error
    _print(coverage, arguments)
    return 0


def _print(coverage: "Coverage", arguments: argparse.Namespace) -> None:
    from sosie.indexer.cleaning.coverage import format_table, format_toml  # noqa: PLC0415 - keep the top light

    if arguments.json:
        for gap in coverage.gaps:
            print(json.dumps(gap.as_dict(), ensure_ascii=False))
    elif arguments.toml:
        print(format_toml(coverage), end="")
    else:
        print(format_table(coverage))
    summary = f"{coverage.covered:,} of {coverage.products:,} products have a category that is covered, or none"
    if coverage.uncounted:
        summary += f"; {coverage.uncounted:,} more, of categories beyond the first {coverage.bound:,}, are not listed"
    sys.stdout.flush()  # what is said of the list comes after it, also in a file with both
    print(f"{_NAME}: {summary}", file=sys.stderr)
