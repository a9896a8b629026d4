"""The options of `sosie index` for what becomes of the rows and collections that a catalog no longer backs."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sosie.engine.generations import Layout
    from sosie.indexer.target.questions import Question
    from sosie.indexer.target.requirements import Requirement

_HUNDRED = 100.0
INDEXES = ("auto", "flat", "hnsw", "diskann")


@dataclass(frozen=True)
class Place:
    """Which collections are meant: the store's address and the alias; with the state folder and Triton's address."""

    store: str
    collection: str
    state: Path
    triton: str


@dataclass(frozen=True)
class TargetOptions:
    """`max_prune` is a percentage of each shop's rows; `left` are shops that are no more.

    `layout` is for a collection that is made.
    """

    prune: bool = False
    rebuild: bool = False
    max_prune: float = 10.0
    left: tuple[str, ...] = ()
    requirements: "tuple[Requirement, ...]" = ()
    questions: "tuple[Question, ...]" = ()
    layout: "Layout | None" = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Imports nothing heavy."""
    add = parser.add_argument_group("what the catalog no longer has, and rebuilding").add_argument
    add("--prune", action="store_true", help="delete pictures of the catalog's shops that it no longer lists")
    add(
        "--rebuild", action="store_true", help="fill a new collection, and put it in the live one's place if it is good"
    )
    add(
        "--max-prune",
        type=_percent,
        default="10%",
        metavar="P%",
        help="delete or replace nothing if a shop would lose more of its pictures than that (default: 10%%)",
    )
    add(
        "--prune-shop",
        action="append",
        default=[],
        metavar="SHOP",
        help="a shop that the catalog rightly has no more: --prune and --rebuild may drop all of it; repeatable",
    )
    add(
        "--require",
        action="append",
        default=[],
        type=_requirement,
        metavar="METRIC>=VALUE",
        help="with --rebuild: switch only if it holds; or METRIC<=VALUE; repeatable",
    )
    add("--queries", type=Path, metavar="FILE", help="with --rebuild: questions with the products that answer them")
    add(
        "--index",
        choices=INDEXES,
        default="auto",
        help="a new collection's index on a server: hnsw in memory, diskann on disk, flat exact (default: by its size)",
    )
    add("--by-shop", action="store_true", help="keep the shops of a new collection apart, where there are many of them")


def read_options(arguments: argparse.Namespace) -> TargetOptions:
    """Ends with SystemExit where the options do not fit together, or the questions cannot be read."""
    from sosie.engine.generations import Layout  # noqa: PLC0415 - keep the top light
    from sosie.indexer.target.questions import QuestionsError, read_questions  # noqa: PLC0415 - keep the top light

    def refuse(problem: object) -> SystemExit:
        return SystemExit(f"sosie index: {problem}")

    if not arguments.rebuild:
        unused = [name for name, given in (("--require", arguments.require), ("--queries", arguments.queries)) if given]
        if unused:
            raise refuse(f"{unused[0]} is for --rebuild")
        if arguments.prune_shop and not arguments.prune:
            raise refuse("--prune-shop is for --prune and --rebuild")
    if arguments.rebuild and arguments.prune:
        raise refuse("--rebuild has nothing to prune: the new collection holds what the catalog lists")
    if arguments.queries is None and any(requirement.needs_questions for requirement in arguments.require):
        raise refuse("this --require needs questions: give --queries FILE")
    try:
        questions = read_questions(arguments.queries) if arguments.queries else []
    except QuestionsError as error:
        raise refuse(error) from error
    except OSError as error:
        raise refuse(f"{arguments.queries}: {error.strerror}") from error
    return TargetOptions(
        prune=arguments.prune,
        rebuild=arguments.rebuild,
        max_prune=arguments.max_prune,
        left=tuple(dict.fromkeys(arguments.prune_shop)),
        requirements=tuple(arguments.require),
        questions=tuple(questions),
        layout=Layout(index=arguments.index, by_shop=arguments.by_shop),
    )


def _percent(text: str) -> float:
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= _HUNDRED:
        raise argparse.ArgumentTypeError(f"expected a percentage such as 10%, got {text!r}")
    return percent


def _requirement(text: str) -> Any:
    from sosie.indexer.target.requirements import Requirement  # noqa: PLC0415 - keep the top light

    try:
        return Requirement.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
