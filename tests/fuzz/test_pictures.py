"""Spoilt pictures: each gives a picture of the right shape or an InputError, at a bounded cost."""

import random
import resource
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fuzz.picture_files import make_corpus, spoil
from fuzz.seeds import choose_seeds, start
from sosie.engine.errors import InputError
from sosie.engine.image import WHOLE, Crop, prepare
from sosie.engine.inference import ImageInput

KEPT: Sequence[int] = ()
"""Seeds that found something once."""

SHARE = 0.6
LIMIT = 20.0
"""Seconds for one picture; the slowest that is taken at all needs two."""
MEMORY = 2**30
"""Bytes that the process may grow by: the most that two pictures at the bounds need."""


def draw(seed: int) -> tuple[bytes, ImageInput, Crop]:
    rng = start("picture", seed)
    data = spoil(rng, rng.choice(list(make_corpus().values())))
    resizes: Any = ("shortest", "longest", "squash")
    return data, ImageInput(32, rng.choice(resizes)), draw_crop(rng)


def draw_crop(rng: random.Random) -> Crop:
    if rng.random() < 0.7:
        return WHOLE
    left, right, top, bottom = (rng.choice((0.0, 1.0, 0.5, 1e-7, 1 - 1e-7, rng.random())) for _ in range(4))
    if rng.random() < 0.9:  # else they may be any
        left, right, top, bottom = *sorted((left, right)), *sorted((top, bottom))
    return Crop(left, top, right, bottom)


def test_the_corpus_is_valid() -> None:
    """What is spoilt was good: every file of the corpus is taken."""
    for name, data in make_corpus().items():
        if name != "png-interlaced":  # its rows are not those of an interlaced picture
            assert prepare(data, ImageInput(32)).std() > 1, name


@pytest.mark.slow
def test_spoilt_pictures() -> None:
    """Nothing but InputError leaves, in time, within memory, and no decoder warns."""
    before = read_peak()

    def run(seed: int) -> str:
        data, image_input, crop = draw(seed)
        try:
            made = prepare(data, image_input, crop)
        except InputError as error:
            # Warnings are errors here, and no picture may fill a log.
            return "warned" if isinstance(error.__cause__, Warning) else ""
        right = made.shape == (32, 32, 3) and made.dtype == np.uint8
        return "" if right else f"gave {made.shape} {made.dtype}"

    faults: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        running = [(seed, pool.submit(run, seed)) for seed in choose_seeds(SHARE, KEPT)]
        for seed, done in running:
            try:
                fault = done.result(timeout=LIMIT)
            except Exception as error:  # noqa: BLE001 -- any is what is looked for
                fault = repr(error)
            if fault:
                faults.append(f"seed {seed}: {fault}")
    assert not faults, faults[:20]
    assert read_peak() - before < MEMORY


def read_peak() -> int:
    """Bytes that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
