"""`sosie demo-shop`: draws a shop's catalog into a folder."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path

HELP = "draw a catalog of products with known truth"
EXTRA = "shop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Draws a catalog of products whose kind, colours and pattern are known: OUT/catalog.jsonl (one "
        "sosie.v1.Product a line), OUT/images/ (JPEG) and OUT/truth.json (what each picture shows). The same "
        "numbers give the same files."
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write, new, empty or of an earlier run")
    parser.add_argument(
        "--products", metavar="N", type=int, default=240, help="how many products, 1 to 20000 (default 240)"
    )
    parser.add_argument("--views", metavar="N", type=int, default=3, help="pictures of each, 1 to 12 (default 3)")
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="another number gives another shop (default 0)"
    )
    parser.add_argument(
        "--size", metavar="PIXELS", type=int, default=320, help="pictures' side, 64 to 2048 (default 320)"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, help="processes that draw, 1 to 64 (default: one for each core, at most 8)"
    )
    parser.add_argument("--force", action="store_true", help="write into a folder that holds other files; they stay")


def run(arguments: argparse.Namespace) -> int:
    from sosie.shop.writing import CATALOG, FolderTakenError, write_shop  # noqa: PLC0415 - only when it is needed

    start = time.monotonic()
    try:
        plan = write_shop(
            arguments.out,
            products=arguments.products,
            views=arguments.views,
            seed=arguments.seed,
            size=arguments.size,
            workers=min(os.cpu_count() or 1, 8) if arguments.workers is None else arguments.workers,
            force=arguments.force,
            on_progress=_progress(start),
        )
    except (ValueError, FolderTakenError) as error:
        raise SystemExit(f"sosie demo-shop: {error}") from None
    except BrokenExecutor:
        message = "sosie demo-shop: a process that draws was killed, for want of memory perhaps: try --workers 1"
        raise SystemExit(message) from None
    except OSError as error:
        where = error.filename or arguments.out
        raise SystemExit(f"sosie demo-shop: cannot write {where}: {error.strerror or error}") from None
    pictures = sum(len(product.views) for product in plan)
    seconds = time.monotonic() - start
    print(f"{len(plan)} products, {pictures} pictures in {seconds:.0f} s: {arguments.out / CATALOG}")
    return 0


def _progress(start: float) -> Callable[[int, int], None]:
    """A line that counts up on a terminal; elsewhere nothing."""

    def show(done: int, total: int) -> None:
        left = (time.monotonic() - start) / done * (total - done)
        end = "\n" if done == total else ""
        print(f"\rdrawing: {done} of {total} products, {left:.0f} s left ", end=end, file=sys.stderr, flush=True)

    return show if sys.stderr.isatty() else lambda _done, _total: None
