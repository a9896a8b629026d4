"""Graphs in 8-bit integers, of small networks with random weights."""

import numpy as np
import onnx
import pytest

from sosie.engine.inference import Pictures
from sosie.training import quantisation
from sosie.training.graph import FLOAT, INT64, UINT8, GraphBuilder

SIDE = 16


def operators(graph: bytes) -> list[str]:
    """The kinds of the graph's nodes."""
    return [node.op_type for node in onnx.load_from_string(graph).graph.node]


def matrices(graph: bytes, dimensions: int = 2) -> dict[int, int]:
    """How many of the graph's matrices have which element type."""
    arrays = onnx.load_from_string(graph).graph.initializer
    kinds = [array.data_type for array in arrays if len(array.dims) == dimensions]
    return {kind: kinds.count(kind) for kind in kinds}


def kernels(graph: bytes) -> dict[int, int]:
    """How many of the graph's kernels have which element type."""
    return matrices(graph, 4)


@pytest.fixture
def transformer() -> bytes:
    """Tokens -> words through two matrices with a GELU between them, and colour through one of its own."""
    rng = np.random.default_rng(0)
    graph = GraphBuilder("text")
    tokens = graph.input("tokens", INT64, ["n", "length"])
    rows = graph.node("Gather", graph.array("table", rng.normal(size=(50, 32))), tokens)
    sentence = graph.node("ReduceMean", rows, graph.integers(1), keepdims=0)
    hidden = graph.gelu(graph.linear("one", sentence, rng.normal(size=(32, 64)), rng.normal(size=64)))
    graph.output("words", graph.unit(graph.linear("two", hidden, rng.normal(size=(64, 16)), np.zeros(16))), ["n", 16])
    graph.output("colour", graph.linear("own", sentence, rng.normal(size=(32, 4)), np.zeros(4)), ["n", 4])
    return graph.model().SerializeToString()


@pytest.fixture
def convolutions() -> bytes:
    """Pictures -> look through three convolutions with ReLU, one depthwise, and colour through one of its own."""
    rng = np.random.default_rng(1)
    graph = GraphBuilder("image")
    image = graph.input("image", UINT8, ["n", SIDE, SIDE, 3])
    picture = graph.node("Cast", graph.node("Transpose", image, perm=[0, 3, 1, 2]), to=FLOAT)
    value = graph.node("Mul", picture, graph.number(1 / 255))
    for name, before, after, group in (("one", 3, 8, 1), ("depthwise", 1, 8, 8), ("two", 8, 8, 1)):
        kernel = graph.array(name, rng.normal(size=(after, before, 3, 3)) / before)
        value = graph.node("Relu", graph.node("Conv", value, kernel, pads=[1, 1, 1, 1], group=group))
    graph.output("look", graph.unit(graph.node("Flatten", graph.node("GlobalAveragePool", value))), ["n", 8])
    own = graph.node("Conv", picture, graph.array("own", rng.normal(size=(4, 3, 1, 1))))
    graph.output("colour", graph.node("Flatten", graph.node("GlobalAveragePool", own)), ["n", 4])
    return graph.model().SerializeToString()


@pytest.fixture
def pictures() -> Pictures:
    """Random pictures."""
    return np.random.default_rng(2).integers(0, 256, (24, SIDE, SIDE, 3)).astype(np.uint8)


def test_dynamic(transformer: bytes) -> None:
    """Constant matrices become int8, tables stay float, and the sentences' vectors keep their directions."""
    tokens = np.random.default_rng(3).integers(0, 50, (20, 7))
    quantised = quantisation.quantise_dynamic(transformer)

    found = quantisation.compare(transformer, quantised, {"tokens": tokens})
    assert matrices(quantised) == {onnx.TensorProto.INT8: 2, onnx.TensorProto.FLOAT: 2}
    assert 0.99 < found["words"].least <= found["words"].mean < 1


def test_static(convolutions: bytes, pictures: Pictures) -> None:
    """Convolutions compute in integers with the ranges that the calibration pictures showed, colour's own in float."""
    quantised = quantisation.quantise_static(convolutions, pictures[:16])

    found = quantisation.compare(convolutions, quantised, {"image": pictures[16:]})
    assert "QuantizeLinear" in operators(quantised)
    assert kernels(quantised) == {onnx.TensorProto.UINT8: 2, onnx.TensorProto.INT8: 1, onnx.TensorProto.FLOAT: 1}
    assert 0.99 < found["look"].least <= found["look"].mean < 1


def test_kept_outputs_are_exact(transformer: bytes, convolutions: bytes, pictures: Pictures) -> None:
    """What leads to an output that is kept, and to no other, stays as it is; by default that is colour."""
    tokens = np.random.default_rng(3).integers(0, 50, (5, 7))
    feeds = {"image": pictures[16:]}
    text = quantisation.quantise_dynamic(transformer)
    image = quantisation.quantise_static(convolutions, pictures[:16])

    assert quantisation.compare(transformer, text, {"tokens": tokens})["colour"].least == pytest.approx(1, abs=1e-9)
    assert quantisation.compare(convolutions, image, feeds)["colour"].least == pytest.approx(1, abs=1e-9)
    none_kept = quantisation.quantise_static(convolutions, pictures[:16], keep=())
    assert quantisation.compare(convolutions, none_kept, feeds)["colour"].least < 1 - 1e-7


def test_form(transformer: bytes, convolutions: bytes, pictures: Pictures) -> None:
    """Quantised graphs stay one file of opset 18 that Triton's backend reads."""
    for graph in (quantisation.quantise_dynamic(transformer), quantisation.quantise_static(convolutions, pictures)):
        model = onnx.load_from_string(graph)
        onnx.checker.check_model(model)
        assert {opset.version for opset in model.opset_import if not opset.domain} == {18}
        assert model.ir_version <= 10
        assert {node.domain for node in model.graph.node} <= {""}
