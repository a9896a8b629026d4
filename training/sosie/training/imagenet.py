"""The names of ImageNet's classes.

`imagenet_classes.txt` holds a class a line, in the order of the classifiers' outputs: the lemmas of each of the 1000
WordNet synsets of ILSVRC 2012, sorted by synset number, in lower case. The first is the class's name. Three synsets
share their first lemma with another; they go by their second ("cardigan welsh corgi", "tank suit"), and the crane that
flies is a "crane bird".
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from sosie.training.vectors import unit

CLASSES = 1000

Floats = npt.NDArray[np.float32]


@cache
def read_lemmas() -> tuple[tuple[str, ...], ...]:
    """What each of the 1000 classes is called, its name first."""
    text = files("sosie.training").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(tuple(line.split(", ")) for line in text.splitlines())


def read_classes() -> tuple[str, ...]:
    """The 1000 names; no two are the same."""
    return tuple(lemmas[0] for lemmas in read_lemmas())


def name_vectors(encode: Callable[[Sequence[str]], Floats]) -> Floats:
    """Unit vectors [1000, n] of the classes: of each the mean of what `encode` makes of its lemmas, [m, n].

    A class that is called "jersey, t-shirt, tee shirt" is then near each of these words.
    """
    lemmas = read_lemmas()
    vectors = encode([lemma for names in lemmas for lemma in names])
    ends = np.cumsum([len(names) for names in lemmas])[:-1]
    means = np.stack([one.mean(0) for one in np.split(vectors, ends)])
    return unit(means).astype(np.float32)
