"""The pictures of a catalog with the labels that are to be learned, divided into splits."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sosie.training.errors import ClassifierError
from sosie.training.goods import Goods, read_goods
from sosie.training.splits import SPLITS, Split, split_groups

Places = npt.NDArray[np.int64]

FEWEST_LABELS = 2


@dataclass(frozen=True)
class Dataset:
    """Pictures at `paths`, all with a label: `truth` [n] are places in `labels`, `splits` [n] what each is for.

    `groups` [n] are the products' keys. `left_out` counts the pictures of the labels that have too few.
    """

    label_set: str
    labels: tuple[str, ...]
    paths: tuple[str, ...]
    truth: Places
    groups: tuple[str, ...]
    splits: tuple[Split, ...]
    left_out: Mapping[str, int]

    def places(self, split: Split) -> Places:
        """Where the pictures of a split are."""
        return np.flatnonzero(np.array(self.splits) == split)

    def select(self, places: Places) -> "Dataset":
        """Some of the pictures alone, in the order given."""
        return replace(
            self,
            paths=tuple(self.paths[place] for place in places),
            truth=self.truth[places],
            groups=tuple(self.groups[place] for place in places),
            splits=tuple(self.splits[place] for place in places),
        )


def read_dataset(
    catalog: Path,
    label_set: str,
    *,
    seed: int,
    min_images: int,
    split_attribute: str | None,
    report: Callable[[str], None],
) -> Dataset:
    """The pictures of a catalog's products that have a `label_set`: brand or category, the narrowest one.

    Splits are drawn by product with `seed`, or are what the products' `split_attribute` says. Labels with fewer than
    `min_images` pictures are left out. Raises FitError where the catalog cannot be read, ClassifierError where it holds
    nothing to tell apart.
    """
    goods = [product for product in read_goods(catalog, report) if getattr(product, label_set)]
    shown = [(product, path) for product in goods for path in product.pictures]
    named: list[str] = [getattr(product, label_set) for product, _ in shown]
    groups = [product.key for product, _ in shown]
    splits = (
        [_own_split(product, split_attribute) for product, _ in shown]
        if split_attribute
        else split_groups(groups, named, seed=seed)
    )
    counts = Counter(named)
    kept = {label for label, count in counts.items() if count >= min_images}
    labels = tuple(sorted(kept))
    numbers = {label: number for number, label in enumerate(labels)}
    chosen = [place for place, label in enumerate(named) if label in kept]
    if len(labels) < FEWEST_LABELS:
        known = f"{labels[0]!r} alone has" if labels else "none has"
        raise ClassifierError(
            f"{catalog} holds one {label_set} or none that could be told from others: of {len(counts)}, {known} at "
            f"least {min_images} pictures; give more pictures or lower --min-images"
        )
    dataset = Dataset(
        label_set=label_set,
        labels=labels,
        paths=tuple(shown[place][1] for place in chosen),
        truth=np.array([numbers[named[place]] for place in chosen], np.int64),
        groups=tuple(groups[place] for place in chosen),
        splits=tuple(splits[place] for place in chosen),
        left_out={label: count for label, count in sorted(counts.items()) if label not in kept},
    )
    check_splits(dataset)
    return dataset


def check_splits(dataset: Dataset) -> None:
    """Raises ClassifierError where a label has no picture to learn from, or a split none at all."""
    for split in SPLITS:
        if not len(dataset.places(split)):
            raise ClassifierError(
                f"the split {split} has no pictures: more products a label, or other splits, are needed"
            )
    missing = set(range(len(dataset.labels))) - set(dataset.truth[dataset.places("train")].tolist())
    if missing:
        raise ClassifierError(
            f"{dataset.labels[min(missing)]!r} has no picture in the split train; give it some, or raise --min-images"
        )


def summarise(dataset: Dataset) -> str:
    """How many pictures, labels and products there are, in one line."""
    counts = ", ".join(f"{split} {len(dataset.places(split)):,}" for split in SPLITS)
    products = len(set(dataset.groups))
    return f"{len(dataset.paths):,} pictures of {products:,} products, {len(dataset.labels)} labels; {counts}"


def weigh_classes(truth: Sequence[int] | Places, labels: int) -> npt.NDArray[np.float32]:
    """The weight of each label in the loss, of mean 1 over the pictures: the inverse root of how many it has.

    The full inverse would let the few pictures of a rare label, and their mistakes, count most.
    """
    counts = np.maximum(np.bincount(truth, minlength=labels), 1)
    weights = 1 / np.sqrt(counts)
    scaled: npt.NDArray[np.float32] = (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
    return scaled


def _own_split(product: Goods, attribute: str) -> Split:
    said = product.attributes.get(attribute, "")
    for split in SPLITS:
        if said == split:
            return split
    raise ClassifierError(
        f"the attribute {attribute!r} must be train, validation or test; product {product.key} has {said!r}"
    )
