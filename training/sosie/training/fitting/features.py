"""What frozen encoders make of a catalog: features of its pictures, vectors of its sentences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from sosie.engine.inference import ImageInput
from sosie.training import mini, minilm
from sosie.training.errors import FitError
from sosie.training.fitting.judging import Places
from sosie.training.goods import Goods
from sosie.training.heads import Floats
from sosie.training.pictures import BATCH, read_pictures
from sosie.training.sentences import encode_sentences
from sosie.training.sessions import open_session
from sosie.training.space_encoders import SpaceEncoders, encode_pictures

TOLD_EVERY = 2000
"""Pictures between two lines about how far it is."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class CatalogFeatures:
    """A catalog as the towers of `mini` see it.

    `pictures` [n, 1280] are pooled features, `owners` [n] the products that they show, as rows of `sentences`
    [products, 4, 384]: the unit vectors of what `Goods.sentences` says. `goods` are the products, in the same order;
    each has a picture at least.
    """

    goods: tuple[Goods, ...]
    pictures: Floats
    owners: Places
    sentences: Floats


@dataclass(frozen=True)
class SpaceFeatures:
    """A catalog as the encoders of a space see it.

    `pictures` are the parts [n, size] of pictures that show `owners` [n], places in `goods`; `sentences` [products, 4,
    size] what `Goods.sentences` says in the part in which pictures and sentences meet, if that was asked for. Each of
    `goods` has a picture at least.
    """

    goods: tuple[Goods, ...]
    pictures: Mapping[str, Floats]
    owners: Places
    sentences: Floats | None = None


def encode_catalog(
    sources: mini.Sources, goods: Sequence[Goods], images: Path, *, report: Tell, tell: Tell
) -> CatalogFeatures:
    """Runs both towers of `mini` over a catalog; pictures that cannot be used are reported and left out.

    Raises FitError where `images` is no folder.
    """
    session = open_session(mini.features_graph(sources).model().SerializeToString())
    shown, pictures, owners = _encode_pictures(
        session, mini.IMAGE_INPUT, goods=goods, images=images, report=report, tell=tell
    )
    graph = mini.text_graph(sources).model().SerializeToString()
    encode = partial(encode_sentences, graph, sources.tokenizer)
    sentences = _encode_sentences(encode, shown, tell, minilm.SIZE)
    return CatalogFeatures(shown, pictures["features"], owners, sentences)


def encode_in_space(
    encoders: SpaceEncoders, goods: Sequence[Goods], images: Path, *, report: Tell, tell: Tell, sentences: bool = False
) -> SpaceFeatures:
    """Runs a space's encoders over a catalog; pictures that cannot be used are reported and left out.

    Raises FitError where `images` is no folder, RepositoryError where an encoder cannot be read.
    """
    session = encoders.open_image()
    shown, pictures, owners = _encode_pictures(
        session, encoders.image_input, goods=goods, images=images, report=report, tell=tell
    )
    if not sentences:
        return SpaceFeatures(shown, pictures, owners)
    part = encoders.space.label_part
    size = next(found.size for found in encoders.space.parts if found.name == part)
    said = _encode_sentences(lambda text: encoders.encode_sentences(text)[part], shown, tell, size)
    return SpaceFeatures(shown, pictures, owners, said)


def _encode_sentences(encode: Callable[[list[str]], Floats], goods: Sequence[Goods], tell: Tell, size: int) -> Floats:
    """The vectors [products, 4, size] of what is said of each."""
    tell(f"encoding what the shop says of {len(goods):,} products")
    said = [product.sentences() for product in goods]
    different = list(dict.fromkeys(sentence for sentences in said for sentence in sentences))
    if not different:
        return np.zeros((0, 0, size), np.float32)
    vectors = encode(different)
    rows = {sentence: row for row, sentence in enumerate(different)}
    return vectors[[[rows[sentence] for sentence in sentences] for sentences in said]]


def _encode_pictures(
    session: onnxruntime.InferenceSession,
    image_input: ImageInput,
    *,
    goods: Sequence[Goods],
    images: Path,
    report: Tell,
    tell: Tell,
) -> tuple[tuple[Goods, ...], dict[str, Floats], Places]:
    """The products with a usable picture, each output [n, size] by name, and each picture's place among them [n]."""
    if not images.is_dir():
        raise FitError(f"{images} is no folder; give the catalog's pictures folder with --images")
    wanted = [(place, path) for place, product in enumerate(goods) for path in product.pictures]
    tell(f"encoding {len(wanted):,} pictures of {len(goods):,} products")
    sizes = {output.name: output.shape[1] for output in session.get_outputs()}
    outputs = {name: [np.zeros((0, size), np.float32)] for name, size in sizes.items()}
    owners: list[int] = []
    for batch in read_pictures(images, [path for _, path in wanted], image_input, report):
        if batch.places:
            for name, values in encode_pictures(session, batch.pictures).items():
                outputs[name].append(values)
            owners.extend(wanted[place][0] for place in batch.places)
        if batch.done % TOLD_EVERY < BATCH:
            tell(f"{batch.done:,} of {len(wanted):,} pictures encoded")
    kept, places = np.unique(np.array(owners, np.int64), return_inverse=True)
    pictures = {name: np.concatenate(values) for name, values in outputs.items()}
    return tuple(goods[place] for place in kept), pictures, places
