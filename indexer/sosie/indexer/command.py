"""`sosie index`: makes a catalog searchable."""

import argparse
import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.engine.addresses import find_address
from sosie.indexer.arguments import count_up_to, max_rejects, time_up_to
from sosie.indexer.cleaning.options import add_arguments as add_cleaning_arguments
from sosie.indexer.cleaning.options import read_options as read_cleaning_options
from sosie.indexer.cluster.options import add_arguments as add_cluster_arguments
from sosie.indexer.cluster.options import read_options as read_cluster_options
from sosie.indexer.encoding.options import add_arguments as add_encoding_arguments
from sosie.indexer.reporting.exit_status import LOCKED
from sosie.indexer.reporting.options import add_arguments as add_reporting_arguments
from sosie.indexer.reporting.options import read_options as read_reporting_options
from sosie.indexer.target.options import Place, read_options
from sosie.indexer.target.options import add_arguments as add_target_arguments

if TYPE_CHECKING:
    from sosie.indexer.running import Outcome, Settings

HELP = "index a catalog: embed its pictures and words, and write them into the index"
EXTRA: str | None = "indexer"

_MOST = 1024  # pictures a request, threads: a bound against slips of the keyboard

LOOK_AFTER = ("rollback", "collections", "drop")
"""What may stand in the catalog's place."""

_EPILOG = """\
in the catalog's place, for the collections that rebuilds leave:
  sosie index collections   lists them
  sosie index rollback      makes the previous one live again
  sosie index drop NAME     removes one that is not live

exit status:
  0         done, with a warning where rejects were few
  1         failed; one line on standard error says why
  2         wrong usage
  3         done, with more rejects than --max-rejects
  4         refused: it would have deleted or replaced more than was allowed
  5         another run has the target
  130, 143  stopped by SIGINT or SIGTERM after writing what was in flight
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(refuse_usage=parser.error)
    parser.add_argument(
        "catalog",
        type=Path,
        metavar="CATALOG",
        help="products, one in JSON a line, also gzip or zstd, or Parquet: a file, a folder, or a glob in quotes",
    )
    parser.add_argument("name", nargs="?", help=argparse.SUPPRESS)  # of a collection, after `drop`
    parser.add_argument("--images", type=Path, metavar="DIR", help="the folder of the pictures' paths; required")
    parser.add_argument(
        "--store",
        metavar="URI",
        help="the index: a path ending in .db (Milvus Lite) or http(s)://host:port (Milvus); "
        "default $SOSIE_STORE, else that of a running `sosie local up`",
    )
    parser.add_argument("--collection", metavar="NAME", help="its alias; default $SOSIE_COLLECTION, else sosie")
    parser.add_argument(
        "--triton",
        metavar="HOST:PORT,...",
        help="Triton's gRPC address; several with commas between them, or dns:///name:port for all that a name stands "
        "for; default $SOSIE_TRITON, else a running `sosie local up`, else localhost:8001",
    )
    parser.add_argument(
        "--models",
        metavar="DIR",
        help="the served model repository, where the tokenizer is; default $SOSIE_MODELS, else ./model_repository",
    )
    parser.add_argument(
        "--space",
        metavar="NAME",
        help="the embedding space; default $SOSIE_SPACE, else the collection's, else the only one that is served",
    )
    parser.add_argument("--without-words", action="store_true", help="leave the shop's own words out of the vectors")
    parser.add_argument(
        "--batch", type=count_up_to(_MOST), default=32, metavar="N", help="pictures a request (default: %(default)s)"
    )
    parser.add_argument(
        "--in-flight",
        type=count_up_to(_MOST),
        default=8,
        metavar="N",
        help="batches that are decoded or encoded side by side, at most (default: %(default)s)",
    )
    add_encoding_arguments(parser)
    parser.add_argument(
        "--threads",
        type=count_up_to(_MOST),
        default=os.cpu_count() or 1,
        metavar="N",
        help="to decode with (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=time_up_to(3600, "seconds"),
        default=60.0,
        metavar="SECONDS",
        help="for each request (default: %(default)g)",
    )
    parser.add_argument(
        "--max-rejects",
        type=max_rejects,
        default="5%",
        metavar="N|P%",
        help="more rejects than this make the run fail (default: 5%%)",
    )
    parser.add_argument(
        "--rejects", type=Path, metavar="FILE", help="where to list rejects (default: CATALOG.rejects.jsonl)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="where a run keeps what survives it; default $SOSIE_STATE, else .sosie/index",
    )
    add_reporting_arguments(parser)
    add_cleaning_arguments(parser)
    add_target_arguments(parser)
    add_cluster_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from sosie.indexer.reporting.publishing import publish  # noqa: PLC0415 - the top of a command stays light
    from sosie.indexer.reporting.summary import describe  # noqa: PLC0415
    from sosie.indexer.session import run_session  # noqa: PLC0415

    look_after = str(arguments.catalog) in LOOK_AFTER
    _check_usage(arguments, look_after=look_after)
    if look_after:
        return _look_after(arguments)
    settings = _read_settings(arguments)
    outcome = asyncio.run(run_session(settings, _tell))
    report = outcome.complete()
    if outcome.begun and arguments.json:
        print(json.dumps(report, ensure_ascii=False))
    elif outcome.begun:
        print(describe(report), file=sys.stderr if settings.reporting.events == "-" else sys.stdout)
    for problem in publish(settings.reporting, report, settings.backends.collection):
        _tell(f"warning: {problem}")
    _conclude(outcome, arguments)
    return outcome.exit_status


def _check_usage(arguments: argparse.Namespace, *, look_after: bool) -> None:
    """What argparse cannot see, since words may stand in the catalog's place: ends as it does."""
    named = str(arguments.catalog) == "drop"
    if named and arguments.name is None:
        arguments.refuse_usage("drop: the following arguments are required: NAME")
    if not named and arguments.name is not None:
        arguments.refuse_usage(f"unrecognized arguments: {arguments.name}")
    if not look_after and arguments.images is None:
        arguments.refuse_usage("the following arguments are required: --images")


def _look_after(arguments: argparse.Namespace) -> int:
    from sosie.engine.errors import EngineError  # noqa: PLC0415 - the top of a command stays light
    from sosie.indexer.faults import describe_os_error  # noqa: PLC0415
    from sosie.indexer.target import maintenance_command  # noqa: PLC0415
    from sosie.indexer.target.errors import LockedError  # noqa: PLC0415

    try:
        return maintenance_command.run(arguments, _read_place(arguments))
    except LockedError as error:
        _tell(str(error))
        return LOCKED
    except EngineError as error:
        raise SystemExit(f"sosie index: {_one_line(error)}") from error
    except OSError as error:
        raise SystemExit(f"sosie index: {describe_os_error(error)}") from error


def _read_place(arguments: argparse.Namespace) -> Place:
    store = find_address(arguments.store, "SOSIE_STORE", "store")
    if store is None:
        raise SystemExit("sosie index: no index is named: give --store URI or set SOSIE_STORE")
    if not store.endswith(".db") and not store.startswith(("http://", "https://")):
        raise SystemExit(f"sosie index: --store {store!r} is neither a path ending in .db nor http(s)://host:port")
    collection = arguments.collection or os.environ.get("SOSIE_COLLECTION") or "sosie"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", collection):
        message = "takes a letter, then letters, digits and _, 100 characters at most"
        raise SystemExit(f"sosie index: --collection {message}; got {collection!r}")
    triton = find_address(arguments.triton, "SOSIE_TRITON", "triton") or "localhost:8001"
    state = arguments.state or Path(os.environ.get("SOSIE_STATE") or ".sosie/index")
    return Place(store, collection, state, triton)


def _read_settings(arguments: argparse.Namespace) -> "Settings":
    from sosie.indexer.job import JobOptions  # noqa: PLC0415 - the top of a command stays light
    from sosie.indexer.opening import Backends  # noqa: PLC0415
    from sosie.indexer.reading.files import holds, name_beside  # noqa: PLC0415
    from sosie.indexer.running import Settings  # noqa: PLC0415

    place = _read_place(arguments)
    models = find_address(arguments.models, "SOSIE_MODELS", "models") or "model_repository"
    rejects = arguments.rejects or name_beside(arguments.catalog, ".rejects.jsonl")
    if holds(arguments.catalog, rejects):
        raise SystemExit(f"sosie index: --rejects {rejects} is a file of the catalog: name another")
    return Settings(
        catalog=arguments.catalog,
        images=arguments.images,
        models=Path(models),
        backends=Backends(
            triton=place.triton,
            store=place.store,
            collection=place.collection,
            space=arguments.space or os.environ.get("SOSIE_SPACE") or None,
            rebuild=arguments.rebuild,
            gateways=arguments.gateway_metrics,
            max_queue=arguments.max_queue_ms / 1000,
        ),
        rejects=rejects,
        options=JobOptions(
            batch=arguments.batch,
            in_flight=arguments.in_flight,
            threads=arguments.threads,
            timeout=arguments.timeout,
            with_words=not arguments.without_words,
        ),
        max_rejects=arguments.max_rejects,
        state=place.state,
        reporting=read_reporting_options(arguments),
        target=read_options(arguments),
        cluster=read_cluster_options(arguments, place.store),
        cleaning=read_cleaning_options(arguments, "sosie index"),
    )


def _conclude(outcome: "Outcome", arguments: argparse.Namespace) -> None:
    """Says on stderr what explains the exit status. Ends with SystemExit where the run failed to begin."""
    if not outcome.begun and not outcome.locked:
        raise SystemExit(f"sosie index: {_one_line(outcome.error)}")
    if outcome.stopped_by:
        _tell("stopped; the next run goes on from here")
    elif outcome.error:
        _tell(outcome.error)
    else:
        _warn(outcome, arguments)


def _warn(outcome: "Outcome", arguments: argparse.Namespace) -> None:
    if outcome.report["index_pending"]:
        _tell("warning: Milvus still builds its index: until that is done, searches may miss neighbours")
    if outcome.rejected:
        listed = f"{outcome.rejected:,} of {outcome.offered:,} rejected, listed in {outcome.report['rejected']['file']}"
        if outcome.too_many_rejects:
            _tell(f"{listed}: more than --max-rejects {arguments.max_rejects}")
        else:
            _tell(f"warning: {listed}")
    elif not outcome.offered:
        _tell(f"warning: {arguments.catalog} holds no product")


def _tell(line: str) -> None:
    print(f"sosie index: {_one_line(line)}", file=sys.stderr, flush=True)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())  # what Triton and Milvus say may have several
