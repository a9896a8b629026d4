"""The names of ImageNet's classes."""

from collections.abc import Sequence

import numpy as np

from sosie.training.imagenet import CLASSES, Floats, name_vectors, read_classes, read_lemmas


def test_names_are_distinct() -> None:
    """There are 1000 names, none twice, none blank, all in lower case."""
    names = read_classes()

    assert len(names) == len(set(names)) == CLASSES
    assert all(name == name.strip().lower() != "" for name in names)


def test_order() -> None:
    """Names stand at their classes' places in the order of ILSVRC 2012."""
    names = read_classes()

    assert (names[0], names[474], names[770], names[999]) == ("tench", "cardigan", "running shoe", "toilet tissue")


def test_lemmas() -> None:
    """Every class is called something, and none twice the same."""
    lemmas = read_lemmas()

    assert len(lemmas) == CLASSES
    assert all(len(set(names)) == len(names) and all(name.strip() for name in names) for names in lemmas)
    assert "t-shirt" in lemmas[read_classes().index("jersey")]


def test_name_vectors() -> None:
    """A class's vector is the mean of its lemmas' vectors, of unit length."""

    def encode(words: Sequence[str]) -> Floats:
        return np.array([[len(word), 1.0] for word in words], np.float32)

    vectors = name_vectors(encode)
    mean = np.mean([[len(word), 1.0] for word in read_lemmas()[0]], axis=0)
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
