"""A tiny space as the bundle clip describes one, and shops for it: features made of hidden facts, pictures drawn so.

clip_image   uint8 [n, 16, 16, 3] -> look (a map of its 4 x 4 cells), colour (its mean colour)
clip_text    tokens -> look and words: the mean of the tokens' rows of a table
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from sosie.engine.inference import ImageInput, TextInput
from sosie.engine.space import EmbeddingSpace, Part
from sosie.training.fitting.features import SpaceFeatures
from sosie.training.goods import Goods
from sosie.training.graph import FLOAT, INT64, UINT8, GraphBuilder
from sosie.training.repository import GRAPH, TOKENIZER, Model, write_models
from sosie.training.served import clip_image, clip_text, write_configs
from sosie.training.triton_config import describe_encoder
from sosie.training.vectors import unit

SIDE, CELLS, LOOK, LENGTH = 16, 4, 24, 8
KINDS = ("boot", "dress", "lamp")
SPACE = EmbeddingSpace(
    name="clip-0123456789ab",
    parts=(Part("look", LOOK, 1.0, 1.0), Part("colour", 3, 0.25), Part("words", LOOK, 0.0, 0.4)),
    label_part="look",
    label_scale=50.0,
)
IMAGE_INPUT = ImageInput(SIDE, "squash")


def make_features(*, seed: int = 1, products: int = 90, views: int = 3, related: bool = True) -> SpaceFeatures:
    """Products whose look holds a few hidden facts under much that changes from view to view.

    What is said of them is another map of the same facts. Not `related`, nothing but noise is in either.
    """
    world, rng = np.random.default_rng(7), np.random.default_rng(seed)
    to_look, to_words = world.standard_normal((2, 6, LOOK))
    facts = rng.standard_normal((products, 6))
    owners = np.repeat(np.arange(products), views)
    shown = facts[owners] if related else rng.standard_normal((len(owners), 6))
    # Half of the numbers are drowned in what the view alone decides: a head has to learn which.
    noise = rng.standard_normal((len(owners), LOOK)) * np.where(np.arange(LOOK) < LOOK // 2, 6.0, 0.6)
    said = facts if related else rng.standard_normal(facts.shape)
    sentences = np.repeat((said @ to_look + 0.2 * said @ to_words)[:, None], 4, axis=1)
    colours = np.ones((len(owners), 3))
    goods = tuple(
        Goods(f"Model {number}", f"Maker {number % 4}", (KINDS[number % 3],), product_id=str(number))
        for number in range(products)
    )
    pictures = {"look": unit(shown @ to_look + noise), "colour": unit(colours)}
    return SpaceFeatures(
        goods,
        {name: values.astype(np.float32) for name, values in pictures.items()},
        owners,
        unit(sentences).astype(np.float32),
    )


def write_space(repository: Path) -> Path:
    """Writes the pair clip_image and clip_text with the production configs, and gives back the repository."""
    tokenizer = _make_tokenizer()
    text_input = TextInput(LENGTH, hashlib.sha256(tokenizer).hexdigest(), pad_to=LENGTH)
    image = write_configs(clip_image(LOOK, 3, size=SIDE), describe_encoder("image_encoder", SPACE, IMAGE_INPUT))
    text = write_configs(clip_text(LOOK, LOOK, length=LENGTH), describe_encoder("text_encoder", SPACE, text_input))
    write_models(
        repository,
        [
            Model("clip_image", {GRAPH: _image_graph().model().SerializeToString(), **image}),
            Model("clip_text", {GRAPH: _text_graph().model().SerializeToString(), TOKENIZER: tokenizer, **text}),
        ],
    )
    return repository


def draw_shop(folder: Path, *, products: int = 80, views: int = 3) -> Path:
    """A catalog: products are patterns of 2 x 2 cells, in views under light of other colours; gives its path."""
    rng = np.random.default_rng(5)
    lines = []
    for number in range(products):
        pattern = rng.integers(90, 166, (2, 2, 3))
        pictures = []
        for view in range(views):
            cells = pattern + rng.integers(-80, 81, 3) + rng.integers(-5, 6, (2, 2, 3))
            path = f"{number}-{view}.png"
            Image.fromarray(np.kron(cells, np.ones((8, 8, 1))).astype(np.uint8)).save(folder / path)
            pictures.append({"id": str(view), "path": path})
        product = {"shop": "s", "product_id": str(number), "title": f"{KINDS[number % 3]} model{number}"}
        lines.append(json.dumps({**product, "category_path": [KINDS[number % 3]], "pictures": pictures}))
    (folder / "broken.png").write_bytes(b"no picture")
    broken = {"title": "Broken", "pictures": [{"id": "1", "path": "broken.png"}]}
    catalog = folder / "catalog.jsonl"
    catalog.write_text("\n".join([*lines, json.dumps(broken)]))
    return catalog


def _image_graph() -> GraphBuilder:
    graph = GraphBuilder("image")
    image = graph.node("Cast", graph.input("image", UINT8, ["n", SIDE, SIDE, 3]), to=FLOAT)
    step = SIDE // CELLS
    cells = graph.node("Reshape", image, graph.integers(-1, CELLS, step, CELLS, step, 3))
    means = graph.node("ReduceMean", cells, graph.integers(2, 4), keepdims=0)
    flat = graph.node("Sub", graph.node("Reshape", means, graph.integers(-1, CELLS * CELLS * 3)), graph.number(127.5))
    world = np.random.default_rng(7).standard_normal((CELLS * CELLS * 3, LOOK)) / 255
    graph.output("look", graph.unit(graph.linear("look", flat, world, np.zeros(LOOK))), ["n", LOOK])
    colour = graph.node("ReduceMean", image, graph.integers(1, 2), keepdims=0)
    graph.output("colour", graph.unit(graph.node("Add", colour, graph.number(1.0))), ["n", 3])
    return graph


def _text_graph() -> GraphBuilder:
    graph = GraphBuilder("text")
    tokens = graph.input("tokens", INT64, ["n", LENGTH])
    table = graph.array("table", np.random.default_rng(8).standard_normal((200, LOOK)))
    mean = graph.node("ReduceMean", graph.node("Gather", table, tokens), graph.integers(1), keepdims=0)
    vector = graph.unit(mean)
    graph.output("look", vector, ["n", LOOK])
    graph.output("words", vector, ["n", LOOK])
    return graph


def _make_tokenizer() -> bytes:
    words = ["[PAD]", "[UNK]", *KINDS, ",", *(f"model{number}" for number in range(100))]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tokenizer.to_str()).encode()
