"""The names of ImageNet's classes.

`imagenet_classes.txt` holds one name a line, in the order of the classifiers' outputs: the first lemma of each of the
1000 WordNet synsets of ILSVRC 2012, sorted by synset number, in lower case. Three synsets share their first lemma with
another; they go by their second ("cardigan welsh corgi", "tank suit"), and the crane that flies is a "crane bird".
"""

from importlib.resources import files

CLASSES = 1000


def read_classes() -> tuple[str, ...]:
    """The 1000 names; no two are the same."""
    return tuple(files("sosie.training").joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())
