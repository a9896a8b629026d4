"""The files of indexed pictures on this machine: answers carry no paths, the catalog that was indexed does."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from sosie.client.questions import IndexedPicture


class LocalPictures:
    """Paths of pictures by product, for the products asked about; empty where nothing is known."""

    def __init__(self, paths: dict[tuple[str, str], dict[str, Path]] | None = None) -> None:
        self._paths = paths or {}

    def find(self, picture: IndexedPicture) -> Path | None:
        """The file of a picture, of the product's first one where no picture is named."""
        known = self._paths.get((picture.shop, picture.product_id), {})
        return known.get(picture.picture_id) if picture.picture_id else next(iter(known.values()), None)


def find_pictures(catalog: Path, images: Path, wanted: Collection[tuple[str, str]]) -> LocalPictures:
    """The pictures under `images` that the catalog gives to the wanted products, (shop, product_id) each.

    Lines that are no product and paths that lead out of `images` are passed over: the indexer reports them. Raises
    OSError where the catalog cannot be read.
    """
    root = images.resolve()
    paths: dict[tuple[str, str], dict[str, Path]] = {}
    for line in _json_lines(catalog):
        name = (str(line.get("shop")), str(line.get("product_id", line.get("productId"))))
        if name in wanted:
            paths[name] = {
                picture_id: path
                for picture_id, relative in _picture_refs(line)
                for path in [(root / relative).resolve()]
                if path.is_relative_to(root)
            }
    return LocalPictures(paths)


def _json_lines(catalog: Path) -> Iterator[dict[str, Any]]:
    with catalog.open("rb") as file:
        for line in file:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def _picture_refs(line: dict[str, Any]) -> Iterator[tuple[str, str]]:
    pictures = line.get("pictures")
    for picture in pictures if isinstance(pictures, list) else []:
        if isinstance(picture, dict) and isinstance(picture.get("id"), str) and isinstance(picture.get("path"), str):
            yield picture["id"], picture["path"]
