"""The files of a drawn shop: catalog.jsonl, images/ and truth.json."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeAlias

from google.protobuf.json_format import MessageToDict

from sosie.shop.catalog import describe, picture_path
from sosie.shop.plan import MAX_SIZE, MIN_SIZE, PlannedProduct, draw, plan_products

CATALOG: Final = "catalog.jsonl"
TRUTH: Final = "truth.json"
IMAGES: Final = "images"
MADE_BY: Final = "sosie demo-shop"

MAX_WORKERS: Final = 64

_JPEG_QUALITY: Final = 90


class FolderTakenError(Exception):
    """The folder holds files that this command did not write."""


def write_shop(
    out: Path,
    *,
    products: int = 240,
    views: int = 3,
    seed: int = 0,
    size: int = 320,
    workers: int = 1,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[PlannedProduct]:
    """Writes a shop of drawn products into a folder and answers its plan.

    Files are the same for the same `products`, `views`, `seed` and `size`, whatever `workers` (processes) there are.
    The truth is written first and marks the folder as this command's own; the catalog comes last, so that a folder
    with a catalog is complete. `on_progress` hears of (done, all) products.

    Raises ValueError where a number is out of range, FolderTakenError where the folder holds others' files and `force`
    is not set, OSError where it cannot be written.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise ValueError(f"the number of workers must be 1 to {MAX_WORKERS}, got {workers}")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"the size must be {MIN_SIZE} to {MAX_SIZE} pixels, got {size}")
    plan = plan_products(products, seed, views=views)
    before = _check_folder(out, force=force)
    out.mkdir(parents=True, exist_ok=True)
    (out / CATALOG).unlink(missing_ok=True)
    truth = describe_truth(plan, size=size)
    _write(out / TRUTH, (json.dumps(truth, ensure_ascii=False, indent=1) + "\n").encode())
    for stale in before - set(truth["pictures"]):
        (out / IMAGES / stale).unlink(missing_ok=True)
    for folder in {(out / IMAGES / path).parent for path in truth["pictures"]}:
        folder.mkdir(parents=True, exist_ok=True)
    with _mapping(workers) as each:
        for done, _ in enumerate(each(partial(_write_pictures, out / IMAGES, size), plan), start=1):
            on_progress(done, len(plan))
    _write(out / CATALOG, "".join(chain.from_iterable((catalog_line(p), "\n") for p in plan)).encode())
    return plan


def catalog_line(product: PlannedProduct) -> str:
    """A product as a line of the catalog: protobuf JSON with the names of product.proto."""
    fields: dict[str, Any] = MessageToDict(describe(product), preserving_proto_field_name=True)
    fields["attributes"] = dict(sorted(fields["attributes"].items()))  # a protobuf map has no order of its own
    return json.dumps(fields, ensure_ascii=False)


def describe_truth(plan: list[PlannedProduct], *, size: int) -> dict[str, Any]:
    """The answer key: what each picture shows, by its path in the pictures folder."""
    pictures = {
        picture_path(product, i): {
            "shop": message.shop,
            "product_id": message.product_id,
            "picture_id": message.pictures[i].id,
            "kind": product.kind,
            "colours": list(product.look.colours),
            "pattern": product.look.pattern.value,
            "view": view.name,
            "backdrop": view.backdrop.name,
        }
        for product in plan
        for message in [describe(product)]
        for i, view in enumerate(product.views)
    }
    return {
        "made_by": MADE_BY,
        "products": len(plan),
        "views": len(plan[0].views),
        "seed": plan[0].seed,
        "size": size,
        "pictures": pictures,
    }


def _check_folder(out: Path, *, force: bool) -> set[str]:
    """The pictures that an earlier run wrote there."""
    if out.exists() and not out.is_dir():
        raise FolderTakenError(f"{out} is a file, not a folder")
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        truth = json.loads((out / TRUTH).read_bytes())
        if truth["made_by"] == MADE_BY:
            return {path for path in truth["pictures"] if ".." not in Path(path).parts and not Path(path).is_absolute()}
    if not force and out.is_dir() and any(out.iterdir()):
        raise FolderTakenError(
            f"{out} holds files that this command did not write: name another folder, or use --force"
        )
    return set()


def _write_pictures(folder: Path, size: int, product: PlannedProduct) -> None:
    for i, view in enumerate(product.views):
        buffer = BytesIO()
        draw(product, view, size).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        _write(folder / picture_path(product, i), buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: readers never see half a file."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


_Each: TypeAlias = Callable[[Callable[[PlannedProduct], None], Iterable[PlannedProduct]], Iterator[None]]


@contextmanager
def _mapping(workers: int) -> Iterator[_Each]:
    """`map` here, or over that many processes."""
    if workers <= 1:
        yield map
        return
    # spawn: a fork would copy the locks of whatever threads the caller runs
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=4)
