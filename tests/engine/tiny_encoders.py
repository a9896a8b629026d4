"""Models for a real Triton that describe themselves as sosie's do, so small that starting them costs nothing.

tiny_image, tiny_text      a pair in the space tiny-1, in batches of at most 4
slow_image, slow_text      a pair in the space slow-1; a picture takes some tenths of a second, and runs alone
lone_image                 an image encoder of a space whose text encoder is not there
hue                        a classifier
plain                      a model that says nothing of itself
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from sosie.engine.inference import ImageInput, TextInput
from sosie.engine.space import EmbeddingSpace, Part, Vector
from tiny_models import IMAGE_CONFIG, image_graph, write_model

TINY_SPACE = EmbeddingSpace(
    name="tiny-1",
    parts=(
        Part("look", 12, image_weight=1.0),
        Part("meaning", 6, image_weight=0.5, text_weight=0.5),
        Part("words", 5, text_weight=1.0),
    ),
    label_part="meaning",
    label_scale=10.0,
)
IMAGE_INPUT = ImageInput(8)
TEXT_INPUT = TextInput(max_tokens=16, tokenizer_sha256="0" * 64)
IMAGE_PARTS = ("look", "meaning")
TEXT_PARTS = ("meaning", "words")
MAX_BATCH = 4
VOCABULARY = 50
HUES = ("red", "green", "blue")
SIZES = {part.name: part.size for part in TINY_SPACE.parts}


def write_encoder_repository(root: Path) -> Path:
    """Writes the models and gives back `root`."""
    slow, lone = replace(TINY_SPACE, name="slow-1"), replace(TINY_SPACE, name="lone-1")
    write_image_encoder(root / "tiny_image", TINY_SPACE)
    write_text_encoder(root / "tiny_text", TINY_SPACE)
    write_image_encoder(root / "slow_image", slow, is_slow=True)
    write_text_encoder(root / "slow_text", slow)
    write_image_encoder(root / "lone_image", lone)
    write_classifier(root / "hue")
    write_model(root / "plain", image_graph(), IMAGE_CONFIG)
    return root


def write_image_encoder(folder: Path, space: EmbeddingSpace, *, is_slow: bool = False) -> None:
    """Projections of a picture's values; a slow one adds the 0 of a long calculation to them."""
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["values"], ["fast"]),
    ]
    if is_slow:
        nodes += [
            helper.make_node("ReduceMax", ["fast"], ["most"]),
            helper.make_node("Mul", ["most", "nothing"], ["seed"]),
            helper.make_node("Expand", ["seed", "square"], ["product0"]),
            *(helper.make_node("MatMul", [f"product{n}", f"product{n}"], [f"product{n + 1}"]) for n in range(20)),
            helper.make_node("ReduceMax", ["product20"], ["zero"], keepdims=0),
            helper.make_node("Add", ["fast", "zero"], ["flat"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["fast"], ["flat"]))
    constants = {"nothing": np.zeros(1, np.float32), "square": np.array([1000, 1000])}
    for seed, part in enumerate(IMAGE_PARTS):
        constants[f"{part}_weight"] = _draw(seed, 192, SIZES[part])
        nodes += [helper.make_node("MatMul", ["flat", f"{part}_weight"], [f"{part}_sum"]), *_normalise(part)]
    config = (
        _set_parameters(role="image_encoder", space=space.to_json(), input=json.dumps(asdict(IMAGE_INPUT)))
        + 'input [ { name: "image" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ] } ]\n'
        + _name_outputs(IMAGE_PARTS)
        # Questions ask for priority 1, the rest for none and gets 2.
        + ("dynamic_batching { priority_levels: 2 default_priority_level: 2 }\n" if is_slow else "")
        + f"max_batch_size: {1 if is_slow else MAX_BATCH}\n"
    )
    _write(folder, nodes, constants, ("image", TensorProto.UINT8, ["n", 8, 8, 3]), IMAGE_PARTS, config)


def write_text_encoder(folder: Path, space: EmbeddingSpace) -> None:
    """The sum of the tokens' rows of a table; the row of 0, the padding, is 0."""
    nodes, constants = [], {"first": np.array([1])}
    for seed, part in enumerate(TEXT_PARTS):
        table = _draw(10 + seed, VOCABULARY, SIZES[part])
        table[0] = 0
        constants[f"{part}_table"] = table
        nodes += [
            helper.make_node("Gather", [f"{part}_table", "tokens"], [f"{part}_rows"]),
            helper.make_node("ReduceSum", [f"{part}_rows", "first"], [f"{part}_sum"], keepdims=0),
            *_normalise(part),
        ]
    config = (
        _set_parameters(role="text_encoder", space=space.to_json(), input=json.dumps(asdict(TEXT_INPUT)))
        + 'input [ { name: "tokens" data_type: TYPE_INT64 dims: [ -1 ] } ]\n'
        + _name_outputs(TEXT_PARTS)
        + f"max_batch_size: {MAX_BATCH}\n"
    )
    _write(folder, nodes, constants, ("tokens", TensorProto.INT64, ["n", "length"]), TEXT_PARTS, config)


def write_classifier(folder: Path) -> None:
    """The softmax of a picture's mean colour, and what it is the softmax of, which nobody asks for."""
    outputs = ("logits", "probabilities")
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "plane"], ["colour"], keepdims=0),
        helper.make_node("Mul", ["colour", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    config = (
        _set_parameters(
            role="classifier", label_set="hue", labels=json.dumps(HUES), input=json.dumps(asdict(IMAGE_INPUT))
        )
        + 'input [ { name: "image" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ] } ]\n'
        + _name_outputs(outputs)
        + f"max_batch_size: {MAX_BATCH}\n"
    )
    constants = {"plane": np.array([1, 2]), "scale": np.full(1, 0.05, np.float32)}
    _write(folder, nodes, constants, ("image", TensorProto.UINT8, ["n", 8, 8, 3]), outputs, config)


def _write(
    folder: Path,
    nodes: Sequence[NodeProto],
    constants: Mapping[str, np.ndarray],
    source: tuple[str, int, Sequence[str | int]],
    outputs: Sequence[str],
    config: str,
) -> None:
    graph = helper.make_graph(
        list(nodes),
        folder.name,
        [helper.make_tensor_value_info(*source)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", SIZES.get(name, 3)]) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    write_model(folder, graph, config)


def _normalise(part: str) -> list[NodeProto]:
    return [helper.make_node("LpNormalization", [f"{part}_sum"], [part], axis=1)]


def _draw(seed: int, rows: int, columns: int) -> Vector:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def _set_parameters(**values: str) -> str:
    """Triton's text format takes the escapes of JSON's strings."""
    return "".join(
        f'parameters {{ key: "{name}" value {{ string_value: {json.dumps(value)} }} }}\n'
        for name, value in values.items()
    )


def _name_outputs(parts: Sequence[str]) -> str:
    named = ", ".join(
        f'{{ name: "{part}" data_type: TYPE_FP32 dims: [ {SIZES.get(part, len(HUES))} ] }}' for part in parts
    )
    return f"output [ {named} ]\n"
