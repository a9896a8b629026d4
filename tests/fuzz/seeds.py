"""How inputs are numbered: each is drawn from a seed of its own, so that a failure can be run alone.

SOSIE_FUZZ=200000 pytest tests/fuzz     more inputs than the usual, of all kinds
SOSIE_FUZZ_SEED=4711 pytest tests/fuzz  the input of this seed alone
"""

import os
import random
from collections.abc import Sequence

USUAL = 20_000
"""Inputs of all kinds together."""


def choose_seeds(share: float, kept: Sequence[int]) -> Sequence[int]:
    """The seeds to run: those that found something once, and this share of all; or the one that was asked for."""
    if "SOSIE_FUZZ_SEED" in os.environ:
        return [int(os.environ["SOSIE_FUZZ_SEED"])]
    count = round(int(os.environ.get("SOSIE_FUZZ", USUAL)) * share)
    return [*(seed for seed in kept if seed >= count), *range(count)]


def start(kind: str, seed: int) -> random.Random:
    """The random numbers of one input; the same on every machine."""
    return random.Random(f"{kind} {seed}")
