"""What the frozen towers make of a catalog: features of its pictures, vectors of its sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sosie.training import mini, minilm
from sosie.training.efficientnet import FEATURES
from sosie.training.errors import FitError
from sosie.training.goods import Goods
from sosie.training.heads import Floats
from sosie.training.pictures import BATCH, read_pictures
from sosie.training.sentences import encode_sentences
from sosie.training.sessions import open_session

TOLD_EVERY = 2000
"""Pictures between two lines about how far it is."""


@dataclass(frozen=True)
class CatalogFeatures:
    """A catalog as its towers see it.

    `pictures` [n, 1280] are pooled features, `owners` [n] the products that they show, as rows of `sentences`
    [products, 4, 384]: the unit vectors of what `Goods.sentences` says. `goods` are the products, in the same order;
    each has a picture at least.
    """

    goods: tuple[Goods, ...]
    pictures: Floats
    owners: npt.NDArray[np.int64]
    sentences: Floats


def encode_catalog(
    sources: mini.Sources,
    goods: Sequence[Goods],
    images: Path,
    *,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> CatalogFeatures:
    """Runs both towers over a catalog; pictures that cannot be used are reported and left out.

    Raises FitError where `images` is no folder.
    """
    if not images.is_dir():
        raise FitError(f"{images} is no folder; give the catalog's pictures folder with --images")
    pictures, owners = _encode_pictures(sources, goods, images, report, tell)
    kept = np.unique(owners)
    shown = tuple(goods[place] for place in kept)
    tell(f"encoding what the shop says of {len(shown):,} products")
    sentences = _encode_sentences(sources, shown)
    return CatalogFeatures(shown, pictures, np.searchsorted(kept, owners), sentences)


def _encode_sentences(sources: mini.Sources, goods: Sequence[Goods]) -> Floats:
    """The vectors [products, 4, 384] of what is said of each."""
    said = [product.sentences() for product in goods]
    different = list(dict.fromkeys(sentence for sentences in said for sentence in sentences))
    if not different:
        return np.zeros((0, 0, minilm.SIZE), np.float32)
    graph = mini.text_graph(sources).model().SerializeToString()
    vectors = encode_sentences(graph, sources.tokenizer, different)
    rows = {sentence: row for row, sentence in enumerate(different)}
    return vectors[[[rows[sentence] for sentence in sentences] for sentences in said]]


def _encode_pictures(
    sources: mini.Sources,
    goods: Sequence[Goods],
    images: Path,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Features [n, 1280] and the places in `goods` of the products that they belong to [n]."""
    session = open_session(mini.features_graph(sources).model().SerializeToString())
    wanted = [(place, path) for place, product in enumerate(goods) for path in product.pictures]
    tell(f"encoding {len(wanted):,} pictures of {len(goods):,} products")
    features = [np.zeros((0, FEATURES), np.float32)]
    owners: list[int] = []
    for batch in read_pictures(images, [path for _, path in wanted], mini.IMAGE_INPUT, report):
        if batch.places:
            features.append(session.run(None, {"image": batch.pictures})[0])
            owners.extend(wanted[place][0] for place in batch.places)
        if batch.done % TOLD_EVERY < BATCH:
            tell(f"{batch.done:,} of {len(wanted):,} pictures encoded")
    return np.concatenate(features), np.array(owners, np.int64)
