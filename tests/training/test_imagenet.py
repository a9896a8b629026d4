"""The names of ImageNet's classes."""

from sosie.training.imagenet import CLASSES, read_classes


def test_names_are_distinct() -> None:
    """There are 1000 names, none twice, none blank, all in lower case."""
    names = read_classes()

    assert len(names) == len(set(names)) == CLASSES
    assert all(name == name.strip().lower() != "" for name in names)


def test_order() -> None:
    """Names stand at their classes' places in the order of ILSVRC 2012."""
    names = read_classes()

    assert (names[0], names[474], names[770], names[999]) == ("tench", "cardigan", "running shoe", "toilet tissue")
