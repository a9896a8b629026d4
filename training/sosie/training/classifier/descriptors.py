"""What classical methods see of a picture: histograms of oriented gradients, a bag of visual words, deep features."""

from collections.abc import Callable

import cv2
import numpy as np
from skimage.feature import hog
from sklearn.cluster import MiniBatchKMeans

from sosie.engine.inference import Pictures
from sosie.training.classifier.dataset import Places
from sosie.training.heads import Floats

HOG_SIDE = 96
"""Pixels on each side of the grey picture whose gradients are counted."""
HOG_CELL, HOG_BLOCK, HOG_DIRECTIONS = 12, 2, 9
"""Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (2005), with larger cells."""
WORDS = 256
"""Visual words: clusters of SIFT descriptors (Csurka et al. 2004)."""
DESCRIPTORS = 120
"""Of a picture, its strongest."""
LEARNED_DESCRIPTORS = 60_000
"""Of which the words are learned."""
SIFT_LENGTH = 128
TOLD_EVERY = 1000


def describe_gradients(pictures: Pictures, tell: Callable[[str], None]) -> Floats:
    """HOG of each picture [n, size, size, 3]: [n, 1764]."""
    rows = []
    for number in range(len(pictures)):
        grey = cv2.resize(_grey(pictures, number), (HOG_SIDE, HOG_SIDE), interpolation=cv2.INTER_AREA)
        cells = (HOG_CELL, HOG_CELL)
        rows.append(hog(grey, HOG_DIRECTIONS, cells, (HOG_BLOCK, HOG_BLOCK), block_norm="L2-Hys"))
        _tell_progress("HOG", number, len(pictures), tell)
    return np.array(rows, np.float32)


def describe_words(pictures: Pictures, train: Places, *, seed: int, tell: Callable[[str], None]) -> Floats:
    """How often each visual word occurs in each picture, [n, WORDS]: square roots of shares, of unit length.

    The words are learned of the pictures at `train` alone.
    """
    sift = cv2.SIFT.create(nfeatures=DESCRIPTORS)
    found = []
    for number in range(len(pictures)):
        _, descriptors = sift.detectAndCompute(_grey(pictures, number), None)
        none = np.zeros((0, SIFT_LENGTH), np.float32)
        found.append(none if descriptors is None else np.sqrt(descriptors / (descriptors.sum(1, keepdims=True) + 1e-7)))
        _tell_progress("SIFT", number, len(pictures), tell)
    learned = np.concatenate([found[place] for place in train])
    rng = np.random.default_rng(seed)
    if len(learned) > LEARNED_DESCRIPTORS:
        learned = learned[rng.choice(len(learned), LEARNED_DESCRIPTORS, replace=False)]
    if not len(learned):  # pictures of one colour each
        return np.zeros((len(pictures), WORDS), np.float32)
    size = min(WORDS, len(learned))
    words = MiniBatchKMeans(size, random_state=seed, batch_size=4096, n_init=1, max_iter=30).fit(learned)
    rows = np.zeros((len(pictures), WORDS), np.float32)
    for number, descriptors in enumerate(found):
        if len(descriptors):
            counts = np.bincount(words.predict(descriptors), minlength=WORDS)
            rows[number] = np.sqrt(counts / counts.sum())
    return rows


def _grey(pictures: Pictures, number: int) -> Pictures:
    grey: Pictures = cv2.cvtColor(np.asarray(pictures[number]), cv2.COLOR_RGB2GRAY)
    return grey


def _tell_progress(name: str, number: int, total: int, tell: Callable[[str], None]) -> None:
    if (number + 1) % TOLD_EVERY == 0 or number + 1 == total:
        tell(f"{name}: {number + 1:,} of {total:,} pictures")
