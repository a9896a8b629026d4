"""`sosie catalog check` and `sosie catalog categories`: a catalog looked at before it is indexed."""

import argparse

from sosie.indexer.checking import check_command
from sosie.indexer.cleaning import categories_command

HELP = "check a catalog before it is indexed"
EXTRA: str | None = "indexer"

_COMMANDS = {"check": check_command, "categories": categories_command}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP[0].upper() + command.HELP[1:] + ".")
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)


def run(arguments: argparse.Namespace) -> int:
    return int(arguments.run(arguments))
