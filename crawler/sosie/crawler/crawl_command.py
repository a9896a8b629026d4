"""`sosie crawl`: shops and feeds become catalogs."""

import argparse
from types import ModuleType

from sosie.crawler.feeds import feed_command
from sosie.crawler.shops import check_command

HELP = "make a catalog of a shop's feed or pages"
EXTRA: str | None = "crawler"

_COMMANDS: dict[str, ModuleType] = {"feed": feed_command, "check": check_command}
"""Each a module with HELP, add_arguments(parser) and run(arguments) -> exit status."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP[0].upper() + command.HELP[1:] + ".")
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)


def run(arguments: argparse.Namespace) -> int:
    return int(arguments.run(arguments))
