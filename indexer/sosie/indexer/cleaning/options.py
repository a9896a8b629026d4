"""The options for how a catalog is cleaned, of every command that reads one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sosie.indexer.cleaning.clean_catalog import CleaningOptions

RULES = ("first", "last", "newest", "refuse")
MODES = ("ignore", "report", "drop")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Imports nothing heavy."""
    add = parser.add_argument_group("cleaning").add_argument
    add("--aliases", type=Path, metavar="FILE", help="one form for brands, and for phrases in titles (TOML)")
    add("--categories", type=Path, metavar="PATH", help="category files: one (TOML), or a folder with one a shop")
    add(
        "--merge",
        choices=RULES,
        default=RULES[0],
        help="which line of a product counts that has several; refuse: none (default: %(default)s)",
    )
    add(
        "--near-duplicates",
        choices=MODES,
        default=MODES[0],
        help="list pictures that look the same, or index products without their repeated ones (default: %(default)s)",
    )


def read_options(arguments: argparse.Namespace, command: str) -> "CleaningOptions":
    """Ends with SystemExit, in the name of the command, where a file cannot be used."""
    from sosie.indexer.cleaning.aliases import Aliases  # noqa: PLC0415 - the top of a command stays light
    from sosie.indexer.cleaning.categories import CategoryMap  # noqa: PLC0415
    from sosie.indexer.cleaning.clean_catalog import CleaningOptions  # noqa: PLC0415
    from sosie.indexer.cleaning.merging import MergeRule  # noqa: PLC0415
    from sosie.indexer.cleaning.near_duplicates import NearMode  # noqa: PLC0415
    from sosie.indexer.cleaning.tables import TableError  # noqa: PLC0415

    try:
        return CleaningOptions(
            aliases=Aliases.read(arguments.aliases) if arguments.aliases else Aliases(),
            categories=CategoryMap.read(arguments.categories) if arguments.categories else CategoryMap(),
            merge=MergeRule(arguments.merge),
            near_duplicates=NearMode(arguments.near_duplicates),
        )
    except TableError as error:
        raise SystemExit(f"{command}: {error}") from error
