"""How torch is run while heads are fitted: seeded, on one thread, and with a word about what to do without memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sosie.training.errors import FitError

THREADS = 1
"""The matrices are small: a second thread gains nothing on a free machine, and on a busy one waits by spinning."""

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""What a RuntimeError says of it: on a processor torch has no error of its own for that."""


@contextmanager
def seeded_torch(seed: int, batch: int, *, threads: int = THREADS) -> Iterator[None]:
    """Torch with a seed, on so many threads, for a while. Raises FitError where memory runs out.

    `batch` is what the command was given, or its default: what to halve.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error).lower() for words in _NO_MEMORY):
            raise
        raise FitError(f"memory ran out with {batch} in a batch; try --batch {max(2, batch // 2)}") from error
    finally:
        torch.set_num_threads(before)
