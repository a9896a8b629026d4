"""An epoch's batches of augmented pictures."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from sosie.engine.inference import Pictures
from sosie.training.classifier.augmentation import Augmentation, augment
from sosie.training.classifier.dataset import Places
from sosie.training.classifier.progress import Plan
from sosie.training.heads import Floats

_READERS = 2
_AHEAD = 2


@dataclass(frozen=True)
class Learned:
    """The pictures to learn from and to watch, as places in `pictures` with their labels in `truth`."""

    pictures: Pictures
    truth: Places
    train: Places
    validation: Places
    class_weights: Floats


def count_steps(data: Learned, plan: Plan) -> int:
    """Batches in an epoch: what does not fill one is left for another epoch's order, unless it is all there is."""
    return max(len(data.train) // plan.batch_size, 1)


def make_batches(
    data: Learned, plan: Plan, epoch: int, how: Augmentation
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Views uint8 [n, size, size, 3] with their labels [n], made a little ahead by other threads."""
    order = np.random.default_rng([plan.seed, epoch]).permutation(data.train)
    steps = count_steps(data, plan)
    batches = [order[step * plan.batch_size : (step + 1) * plan.batch_size] for step in range(steps)]

    def make(places: Places) -> tuple[torch.Tensor, torch.Tensor]:
        generators = [np.random.default_rng([plan.seed, epoch, int(place)]) for place in places]
        views = [
            augment(data.pictures[place], plan.train_size, rng, how)
            for place, rng in zip(places, generators, strict=True)
        ]
        return torch.from_numpy(np.stack(views)), torch.from_numpy(data.truth[places])

    with ThreadPoolExecutor(_READERS) as pool:
        pending = [pool.submit(make, places) for places in batches[:_AHEAD]]
        for step in range(steps):
            if step + _AHEAD < steps:
                pending.append(pool.submit(make, batches[step + _AHEAD]))
            yield pending.pop(0).result()
