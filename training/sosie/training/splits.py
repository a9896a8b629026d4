"""Divides a catalog into what is learned from, what is watched while learning, and what is judged by.

Groups (a product with all its pictures, a family of variants) are never torn apart. Where a group goes depends on the
seed and on the other groups of its label alone, so that training and evaluation, run apart, divide alike.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SHARES = (0.6, 0.2, 0.2)
"""Of the groups of each label, in the order of SPLITS."""


def split_groups(groups: Sequence[str], labels: Sequence[str], *, seed: int = 0) -> list[Split]:
    """The split of each item, from the group and the label that it has; a group's first label counts.

    Each label's groups are divided by SHARES, so that rare labels are in every split if they have three groups: the
    rounding gives to test first, then to validation.

    >>> split_groups(["a", "a", "b", "c", "d"], ["shoe"] * 5)
    ['train', 'train', 'validation', 'test', 'train']
    """
    label_of: dict[str, str] = {}
    for group, label in zip(groups, labels, strict=True):
        label_of.setdefault(group, label)
    by_label: dict[str, list[str]] = {}
    for group, label in label_of.items():
        by_label.setdefault(label, []).append(group)
    chosen: dict[str, Split] = {}
    for members in by_label.values():
        members.sort(key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest())
        test, validation = (_count(len(members), share) for share in (SHARES[2], SHARES[1]))
        for place, group in enumerate(members):
            chosen[group] = "test" if place < test else "validation" if place < test + validation else "train"
    return [chosen[group] for group in groups]


def _count(members: int, share: float) -> int:
    """How many of a label's groups a held-out split gets: one at least, if two others are left."""
    return max(round(members * share), 1) if members >= len(SPLITS) else 0
