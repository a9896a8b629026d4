"""What the tests of training share: the trained weights, the bundle made from them, and pictures."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.engine.inference import Pictures
from sosie.training import imagenet, mini
from sosie.training.efficientnet import SIZE
from sosie.training.heads import Floats
from sosie.training.repository import CONFIG, Model
from sosie.training.sentences import encode_sentences
from sosie.training.triton_config import read_parameters

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PHOTOS = 24


@pytest.fixture(scope="session")
def sources() -> mini.Sources:
    """The trained weights; the first run downloads them into the cache."""
    return mini.read_sources(None, print)


@pytest.fixture(scope="session")
def bundle(sources: mini.Sources) -> mini.Bundle:
    """The bundle as `sosie models build mini` makes it."""
    return mini.build(sources, print)


@pytest.fixture(scope="session")
def class_names(sources: mini.Sources) -> Floats:
    """The sentence vectors of ImageNet's classes."""
    text = mini.text_graph(sources).model().SerializeToString()
    return imagenet.name_vectors(partial(encode_sentences, text, sources.tokenizer))


@pytest.fixture(scope="session")
def models(bundle: mini.Bundle) -> dict[str, Model]:
    """The bundle's models by role."""
    return {read_parameters(model.files[CONFIG].decode())["role"]: model for model in bundle.models}


@pytest.fixture(scope="session")
def drawn() -> Pictures:
    """Pictures that need no data: one colour, noise, gradients, and things on a background."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIZE, :SIZE]
    pictures = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in (0, 128, 255)]
    pictures += [rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8) for _ in range(2)]
    pictures.append(np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8))
    for _ in range(6):
        picture = np.full((SIZE, SIZE, 3), rng.integers(180, 256, 3), np.uint8)
        row, column, radius = rng.integers(60, 164, 3)
        picture[(y - row) ** 2 + (x - column) ** 2 < (radius // 2) ** 2] = rng.integers(0, 256, 3)
        picture[::8, 40:90] = rng.integers(0, 256, 3)
        pictures.append(picture)
    return np.stack(pictures)


@pytest.fixture(scope="session")
def photos() -> Pictures:
    """Real photographs of luma, spread over the whole set."""
    if not (DATA / "luma").is_dir():
        pytest.skip("needs the photographs of ../shared/data/luma")
    paths = sorted(path for path in (DATA / "luma").rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return np.stack(list(_read(paths[:: len(paths) // PHOTOS][:PHOTOS])))


def _read(paths: list[Path]) -> Iterator[Pictures]:
    for path in paths:
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB").resize((SIZE, SIZE)))
