"""`sosie crawl feed`: a shop's feed becomes a catalog."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sosie.crawler.feeds.harvest import Paths
    from sosie.crawler.feeds.report import Report

HELP = "make a catalog of a feed: Yandex YML, Google Merchant, CSV or TSV, schema.org in JSON lines"

_SUFFIXES = {".gz", ".xml", ".yml", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".rss", ".atom"}
FORMATS = ("yandex", "google", "table", "schema.org")
_TOO_MANY = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("feed", metavar="FILE", help="the feed, plain or packed by gzip")
    parser.add_argument("--shop", metavar="NAME", required=True, help="what its products name as their shop")
    parser.add_argument(
        "--out",
        metavar="CATALOG",
        type=Path,
        help="the catalog to write (default: FEED.catalog.jsonl, beside the feed)",
    )
    parser.add_argument("--format", choices=FORMATS, help="default: told from how the feed begins")
    parser.add_argument("--encoding", metavar="NAME", default="", help="default: as the feed declares, else utf-8")
    parser.add_argument("--currency", metavar="CODE", default="", help="of prices that name none, e.g. EUR")
    parser.add_argument(
        "--max-rejects",
        metavar="N|P%",
        type=_read_bound,
        default="5%",
        help="leave the catalog as it is where more offers are rejected (default 5%%)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    from sosie.crawler.feeds.errors import FeedError  # noqa: PLC0415 - only when it is needed
    from sosie.crawler.feeds.harvest import Paths, TooManyRejectsError  # noqa: PLC0415

    if arguments.feed.startswith(("http://", "https://")):
        raise SystemExit(f"sosie crawl feed: reads files only: fetch {arguments.feed} and name the file")
    path = Path(arguments.feed)
    paths = Paths.beside(arguments.out or _name_beside(path))
    if path.resolve() in {written.resolve() for written in paths}:
        raise SystemExit(f"sosie crawl feed: would write over the feed {path}: name another --out")
    try:
        report = _harvest(path, paths, arguments)
    except TooManyRejectsError as error:
        _show(error.report, paths, as_json=arguments.json)
        print(f"sosie crawl feed: {path} {error}, more than --max-rejects: no catalog is written", file=sys.stderr)
        return _TOO_MANY
    except FeedError as error:
        raise SystemExit(f"sosie crawl feed: {path} {error}") from None
    except OSError as error:
        raise SystemExit(f"sosie crawl feed: {error.filename or path}: {error.strerror or error}") from None
    _show(report, paths, as_json=arguments.json)
    return 0


def _harvest(path: Path, paths: "Paths", arguments: argparse.Namespace) -> "Report":
    from sosie.crawler.feeds.formats import Format  # noqa: PLC0415
    from sosie.crawler.feeds.harvest import harvest  # noqa: PLC0415
    from sosie.crawler.feeds.offers import Settings  # noqa: PLC0415
    from sosie.crawler.feeds.opening import open_feed  # noqa: PLC0415
    from sosie.crawler.feeds.reading import Feed  # noqa: PLC0415

    format = Format(arguments.format) if arguments.format else None  # noqa: A001 - the option's own word
    with open_feed(path) as file:
        feed = Feed(file, Settings(arguments.shop, arguments.currency), format=format, encoding=arguments.encoding)
        return harvest(feed, path.name, paths, allows=arguments.max_rejects, on_progress=_progress())


def _name_beside(path: Path) -> Path:
    stem = path
    while stem.suffix.lower() in _SUFFIXES:
        stem = stem.with_suffix("")
    return stem.with_name(f"{stem.name}.catalog.jsonl")


def _read_bound(text: str) -> Callable[[int, int], bool]:
    """Whether so many rejects among so many offers are allowed."""
    try:
        bound = float(text.removesuffix("%"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or a percentage, is {text!r}") from None
    if text.endswith("%"):
        return lambda rejected, offers: rejected <= offers * bound / 100
    return lambda rejected, _offers: rejected <= bound


def _progress() -> "Callable[[Report], None]":
    """A line that counts up on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        return lambda _report: None
    start = time.monotonic()

    def show(report: "Report") -> None:
        rate = report.offers / (time.monotonic() - start)
        print(f"\r{report.offers:,} offers, {rate:,.0f} a second ", end="", file=sys.stderr, flush=True)

    return show


def _show(report: "Report", paths: "Paths", *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
        return
    print(f"{report.products:,} products of {report.offers:,} offers, {report.pictures:,} pictures to be fetched")
    for title, counts in (("rejected", report.rejects), ("cut", report.cut)):
        if counts:
            print(f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in counts.most_common()))
    print("filled: " + ", ".join(f"{name} {share:.0%}" for name, share in report.coverage().items()))
    print(f"catalog: {paths.catalog}")
    if report.rejects:
        print(f"rejects: {paths.rejects}")
