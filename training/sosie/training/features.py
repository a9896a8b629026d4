"""What the frozen towers make of a catalog: features of its pictures, vectors of its sentences."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sosie.engine.errors import InputError
from sosie.engine.image import MAX_BYTES, prepare
from sosie.engine.inference import Pictures
from sosie.training import mini, minilm
from sosie.training.efficientnet import FEATURES
from sosie.training.errors import FitError
from sosie.training.goods import Goods
from sosie.training.heads import Floats
from sosie.training.sentences import encode_sentences
from sosie.training.sessions import open_session

BATCH = 32
DECODERS = 2
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
    pictures, owners = _encode_pictures(sources, goods, images.resolve(), report, tell)
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
    features, owners = [np.zeros((0, FEATURES), np.float32)], []
    with ThreadPoolExecutor(DECODERS) as pool:
        for done, batch in _batches(wanted):
            usable = []
            for (place, _), picture in zip(batch, pool.map(partial(_read_picture, images), batch), strict=True):
                if isinstance(picture, str):
                    report(picture)
                else:
                    usable.append(picture)
                    owners.append(place)
            if usable:
                features.append(session.run(None, {"image": np.stack(usable)})[0])
            if done % TOLD_EVERY < len(batch):
                tell(f"{done:,} of {len(wanted):,} pictures encoded")
    return np.concatenate(features), np.array(owners, np.int64)


def _batches(wanted: Sequence[tuple[int, str]]) -> Iterator[tuple[int, Sequence[tuple[int, str]]]]:
    """Batches, each with how many are done after it."""
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        yield start + len(batch), batch


def _read_picture(images: Path, wanted: tuple[int, str]) -> Pictures | str:
    """The prepared picture [224, 224, 3], or in one line why there is none."""
    path = wanted[1]
    try:
        full = (images / path).resolve()
        if not full.is_relative_to(images):
            return f"picture {path!r}: leads out of the pictures folder"
        if not full.is_file():
            return f"picture {path!r}: is no file in {images}"
        with full.open("rb") as file:
            return prepare(file.read(MAX_BYTES + 1), mini.IMAGE_INPUT)
    except InputError as error:
        return f"picture {path!r}: {error.problem}"
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        return f"picture {path!r}: cannot be read ({error})"
