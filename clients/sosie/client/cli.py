"""The command `sosie`: finds subcommands among the installed rooms and runs the one that is named.

A subcommand is an entry point of the group `sosie.commands` that names a module with `HELP`, `EXTRA`, `add_arguments`
and `run`. Only the named one is imported to run; what it needs it imports inside `run`.
"""

import argparse
import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Protocol, cast

GROUP = "sosie.commands"

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # as a shell reports what Ctrl-C ended
BROKEN_PIPE = 141  # as a shell reports what was writing when its reader left

EXIT_STATUS = """\
exit status:
  0    done
  1    failed; one line on standard error says why
  2    wrong usage
  130  ended by Ctrl-C
"""


class Command(Protocol):
    """What the module of a subcommand offers."""

    HELP: str
    EXTRA: str | None

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Adds the command's arguments; imports nothing heavy."""

    @staticmethod
    def run(arguments: argparse.Namespace) -> int:
        """Does the work and gives the exit status. Ends with SystemExit and one line where it cannot."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line, that of the process unless given, and gives its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names and titles may hold what the terminal cannot show
    try:
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return BROKEN_PIPE
    return status


def _dispatch(argv: list[str]) -> int:
    commands = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not argv:
        sys.stderr.write(f"{_overview(commands)}\n")
        return WRONG_USAGE
    name, *rest = argv
    if name in ("-h", "--help"):
        sys.stdout.write(f"{_overview(commands)}\n")
        return 0
    if name == "--version":
        sys.stdout.write(f"sosie {version('sosie')}\n")
        return 0
    if name not in commands:
        sys.stderr.write(f"{_unknown(name, commands)}\n")
        return WRONG_USAGE
    return _run(commands[name], rest)


def _run(entry: EntryPoint, argv: list[str]) -> int:
    extra: str | None = _room(entry)
    try:
        command = _load(entry)
        extra = command.EXTRA
        parser = argparse.ArgumentParser(
            prog=f"sosie {entry.name}",
            description=command.HELP,
            epilog=EXIT_STATUS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(parser)
        return command.run(parser.parse_args(argv))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "sosie"):  # a fault of ours: the traceback tells more than a line would
            raise
        if extra is None:
            raise SystemExit(f"sosie {entry.name} needs the package {missing!r}: pip install sosie") from None
        raise SystemExit(f"sosie {entry.name} needs the extra {extra!r}: pip install 'sosie[{extra}]'") from None


def _load(entry: EntryPoint) -> Command:
    return cast(Command, importlib.import_module(entry.module))


def _room(entry: EntryPoint) -> str:
    """The room that a command lives in, which is also the extra that installs what it needs."""
    return entry.module.split(".")[1]


def _overview(commands: dict[str, EntryPoint]) -> str:
    wide = max((len(name) for name in commands), default=0)
    lines = [f"  {name:{wide}}  {_help_line(commands[name])}" for name in sorted(commands)]
    return "\n".join(
        [
            "usage: sosie [-h] [--version] COMMAND ...",
            "",
            "Visual product search: a photo or a sentence in, the products that look like it out.",
            "",
            "commands (sosie COMMAND --help tells more):",
            *lines,
            "",
            EXIT_STATUS.rstrip(),
        ]
    )


def _help_line(entry: EntryPoint) -> str:
    try:
        return _load(entry).HELP
    except ImportError:
        return f"not installed: pip install 'sosie[{_room(entry)}]'"


def _unknown(name: str, commands: dict[str, EntryPoint]) -> str:
    close = difflib.get_close_matches(name, commands, n=3)
    meant = f"did you mean {' or '.join(close)}?" if close else "sosie --help lists the commands"
    return f"sosie: there is no command {name!r}: {meant}"
