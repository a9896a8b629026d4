"""`sosie index` as its users run it: a real Triton with tiny encoders, a real Milvus Lite, a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from fakes import unit
from indexer_fixtures import SmallShop, make_shop
from sosie.engine.image import prepare
from sosie.engine.inference import ImageInput
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import EmbeddingSpace, Part
from sosie.engine.store import picture_key
from sosie.local.triton import LocalTriton
from tiny_models import write_model

pytestmark = pytest.mark.slow

LIMIT = 120.0
SPACE = EmbeddingSpace(
    name="tiny-1", parts=(Part("colour", 3, 1.0), Part("words", 4, 0.0, 1.0)), label_part="colour", label_scale=1.0
)
VOCABULARY = {"[UNK]": 1, "Suede": 2, "boot": 3, "Norden": 4, "Women": 5, "Shoes": 6, "colour": 7, "brown": 8}
TABLE = np.vstack([np.zeros((1, 4)), np.random.default_rng(3).normal(size=(8, 4))]).astype(np.float32)


def image_graph() -> onnx.GraphProto:
    """A picture's mean colour, at length 1."""
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "plane"], ["mean"], keepdims=0),
        helper.make_node("LpNormalization", ["mean"], ["colour"], axis=1, p=2),
    ]
    return helper.make_graph(
        nodes,
        "image",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("colour", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.array([1, 2], np.int64), "plane")],
    )


def text_graph() -> onnx.GraphProto:
    """The sum of a row of TABLE for each token, at length 1."""
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["rows"], axis=0),
        helper.make_node("ReduceSum", ["rows", "axis"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["words"], axis=1, p=2),
    ]
    return helper.make_graph(
        nodes,
        "text",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", "length"])],
        [helper.make_tensor_value_info("words", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )


def make_config(role: str, takes: str, gives: str, described: dict[str, Any]) -> str:
    parameters = {"role": role, "space": SPACE.to_json(), "input": json.dumps(described)}
    entries = [
        f'parameters {{ key: "{name}" value: {{ string_value: {json.dumps(value)} }} }}'
        for name, value in parameters.items()
    ]
    return "\n".join([f"max_batch_size: 8\ninput [ {{ {takes} }} ]\noutput [ {{ {gives} }} ]", *entries])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny towers and their tokenizer."""
    root = tmp_path_factory.mktemp("encoders")
    tokenizer = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))  # noqa: S106 - not a password
    tokenizer.pre_tokenizer = Whitespace()
    source = tokenizer.to_str().encode()
    image_config = make_config(
        "image_encoder",
        'name: "image" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ]',
        'name: "colour" data_type: TYPE_FP32 dims: [ 3 ]',
        {"size": 8},
    )
    text_config = make_config(
        "text_encoder",
        'name: "tokens" data_type: TYPE_INT64 dims: [ -1 ]',
        'name: "words" data_type: TYPE_FP32 dims: [ 4 ]',
        {"max_tokens": 32, "tokenizer_sha256": hashlib.sha256(source).hexdigest()},
    )
    write_model(root / "tiny_image", image_graph(), image_config)
    write_model(root / "tiny_text", text_graph(), text_config)
    (root / "tiny_text" / "tokenizer.json").write_bytes(source)
    return root


@pytest.fixture(scope="module")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    with LocalTriton(repository, tmp_path_factory.mktemp("triton")) as triton:
        yield triton


def index(shop: SmallShop, triton: LocalTriton, repository: Path, uri: str, *more: str) -> dict[str, Any]:
    """The summary of one run that is expected to succeed."""
    sosie = Path(sys.executable).with_name("sosie")
    command: list[str | Path] = [sosie, "index", shop.catalog, "--images", shop.images, "--json", "--store", uri, *more]
    environment = {**os.environ, "SOSIE_TRITON": triton.grpc_address, "SOSIE_MODELS": str(repository)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT, env=environment)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


async def test_the_command_fills_a_real_index(triton: LocalTriton, repository: Path, tmp_path: Path) -> None:
    """A catalog goes through a real Triton into a real index; the second run embeds nothing, a new title its words."""
    shop = make_shop(tmp_path / "shop", 30, views=2)
    (shop.images / "9/1.jpg").write_bytes(b"no picture")
    uri = str(tmp_path / "index.db")
    summary = index(shop, triton, repository, uri)
    assert (summary["space"], summary["indexed"], summary["rejected"]["pictures"]) == ("tiny-1", 59, 1)
    assert shop.read_rejects()[0]["product_id"] == "p9"
    assert index(shop, triton, repository, uri)["unchanged"] == 59

    shop.products[4]["title"] = "Suede Shoes"
    shop.products[5]["price"]["units"] = "9"
    shop.save()
    summary = index(shop, triton, repository, uri)
    assert (summary["indexed"], summary["rewritten"], summary["unchanged"]) == (2, 2, 55)

    store = MilvusStore(uri, "sosie")
    try:
        assert await store.count(timeout=LIMIT) == 59
        key = picture_key("norden", "p4", "v1")
        vector = (await store.fetch([key], timeout=LIMIT))[key]
    finally:
        await store.close()
    pixels = prepare((shop.images / "4/1.jpg").read_bytes(), ImageInput(8))
    np.testing.assert_allclose(vector[:3], unit(pixels.mean((0, 1))), atol=1e-5)
    said = "Suede Shoes , Norden , Women , Shoes , colour brown"
    tokens = [VOCABULARY.get(word, 1) for word in said.split()]
    np.testing.assert_allclose(vector[3:], unit(TABLE[tokens].sum(0)), atol=1e-5)
