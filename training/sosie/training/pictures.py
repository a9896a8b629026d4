"""Reads a catalog's pictures as the models see them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sosie.engine.errors import InputError
from sosie.engine.image import MAX_BYTES, prepare
from sosie.engine.inference import ImageInput, Pictures

BATCH = 32
READERS = 2


@dataclass(frozen=True)
class Batch:
    """Some of the pictures that were asked for: `places` in the list of paths, `pictures` [n, size, size, 3] there.

    `done` is how many paths were tried, this batch's with them. Pictures that cannot be used are left out, so a batch
    may be empty.
    """

    places: tuple[int, ...]
    pictures: Pictures
    done: int


def read_pictures(
    folder: Path, paths: Sequence[str], image_input: ImageInput, report: Callable[[str], None], *, batch: int = BATCH
) -> Iterator[Batch]:
    """The pictures at `paths`, relative to `folder`, as `image_input` wants them; what cannot be used is reported."""
    root = folder.resolve()
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(paths), batch):
            places, usable = [], []
            wanted = paths[start : start + batch]
            for place, picture in enumerate(pool.map(partial(read_picture, root, image_input=image_input), wanted)):
                if isinstance(picture, str):
                    report(picture)
                else:
                    places.append(start + place)
                    usable.append(picture)
            empty = np.zeros((0, image_input.size, image_input.size, 3), np.uint8)
            yield Batch(tuple(places), np.stack(usable) if usable else empty, start + len(wanted))


def read_picture(folder: Path, path: str, *, image_input: ImageInput) -> Pictures | str:
    """The prepared picture [size, size, 3], or in one line why there is none; `folder` is resolved."""
    data = read_file(folder, path)
    return data if isinstance(data, str) else prepare_picture(data, path, image_input=image_input)


def read_file(folder: Path, path: str) -> bytes | str:
    """The bytes of a picture's file, MAX_BYTES + 1 at most, or in one line why there are none; `folder` is resolved."""
    try:
        full = (folder / path).resolve()
        if not full.is_relative_to(folder):
            return f"picture {path!r}: leads out of the pictures folder"
        if not full.is_file():
            return f"picture {path!r}: is no file in {folder}"
        with full.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        return f"picture {path!r}: cannot be read ({error})"


def prepare_picture(data: bytes, path: str, *, image_input: ImageInput) -> Pictures | str:
    """The prepared picture [size, size, 3] of a file's bytes, or in one line why there is none."""
    try:
        return prepare(data, image_input)
    except InputError as error:
        return f"picture {path!r}: {error.problem}"
