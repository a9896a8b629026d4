"""A catalog's pictures, decoded once: a file of uint8 that is mapped into memory."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sosie.engine.inference import ImageInput, Pictures
from sosie.training.errors import ClassifierError
from sosie.training.pictures import BATCH, read_pictures

PICTURES = "pictures.npy"
INDEX = "pictures.json"
TOLD_EVERY = 2000
"""Pictures between two lines about how far it is."""


def cache_pictures(
    folder: Path,
    images: Path,
    paths: Sequence[str],
    image_input: ImageInput,
    *,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> tuple[Pictures, npt.NDArray[np.int64]]:
    """The prepared pictures [n, size, size, 3], mapped read-only, and the places in `paths` that they have.

    What cannot be used is reported. A file in `folder` that was made of the same files in the same way is used again.
    Raises ClassifierError where `images` is no folder, `folder` cannot be written, or no picture can be read.
    """
    if not images.is_dir():
        raise ClassifierError(f"{images} is no folder; give the catalog's pictures folder with --images")
    try:
        key = _digest(images, paths, image_input)
        index = folder / INDEX
        found = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
        if found.get("key") != key or not (folder / PICTURES).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            found = _write(folder, images, paths, image_input, tell)
            _replace(index, json.dumps({"key": key, **found}).encode())
        for problem in found["problems"]:
            report(problem)
        pictures: Pictures = np.load(folder / PICTURES, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ClassifierError(f"cannot keep decoded pictures in {folder}: {error}; give another --run") from error
    places = np.array(found["places"], np.int64)
    if not len(places):
        raise ClassifierError(f"none of the {len(paths):,} pictures in {images} can be read")
    return pictures[: len(places)], places


def _write(
    folder: Path, images: Path, paths: Sequence[str], image_input: ImageInput, tell: Callable[[str], None]
) -> dict[str, list[int] | list[str]]:
    """Decodes into a file beside, and moves it into place when it is whole."""
    tell(f"decoding {len(paths):,} pictures")
    fresh = folder / f"{PICTURES}.new"
    shape = (len(paths), image_input.size, image_input.size, 3)
    pictures = np.lib.format.open_memmap(fresh, mode="w+", dtype=np.uint8, shape=shape)
    places: list[int] = []
    problems: list[str] = []
    for batch in read_pictures(images, paths, image_input, problems.append):
        pictures[len(places) : len(places) + len(batch.places)] = batch.pictures
        places.extend(batch.places)
        if batch.done % TOLD_EVERY < BATCH and batch.done < len(paths):
            tell(f"{batch.done:,} of {len(paths):,} decoded")
    pictures.flush()
    del pictures
    fresh.replace(folder / PICTURES)
    return {"places": places, "problems": problems}


def _digest(images: Path, paths: Sequence[str], image_input: ImageInput) -> str:
    """Of the files' names, sizes and times: what a change of a picture changes."""
    digest = hashlib.sha256(json.dumps([str(images.resolve()), asdict(image_input)]).encode())
    for path in paths:
        full = images / path
        status = full.stat() if full.is_file() else None
        digest.update(f"{path}\0{status.st_size if status else 0}\0{status.st_mtime_ns if status else 0}\n".encode())
    return digest.hexdigest()


def _replace(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
