"""Tiny models for a real Triton, so small that starting them costs nothing.

image    uint8 [n, 8, 8, 3]    -> mean float32 [n, 3], total float32 [n, 1]
tokens   int64 [n, length]     -> total int64 [n, 1]
lookup   int64 [n, 1]          -> row float32 [n, 4]; an index outside 0..9 fails the run
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BATCHING = "max_batch_size: 8\ndynamic_batching { max_queue_delay_microseconds: 100000 }\n"


def write_model(folder: Path, graph: onnx.GraphProto, config: str) -> None:
    """Makes a model folder as Triton wants it."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    (folder / "1").mkdir(parents=True)
    onnx.save(model, folder / "1" / "model.onnx")
    (folder / "config.pbtxt").write_text(f'backend: "onnxruntime"\n{config}')


def image_graph() -> onnx.GraphProto:
    """The mean of a picture's channels and the sum of all its values."""
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "plane"], ["mean"], keepdims=0),
        helper.make_node("ReduceSum", ["values", "all"], ["sum"], keepdims=0),
        helper.make_node("Unsqueeze", ["sum", "one"], ["total"]),
    ]
    return helper.make_graph(
        nodes,
        "image",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])],
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "plane"),
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "all"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )


IMAGE_CONFIG = (
    BATCHING
    + """input [ { name: "image" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ] } ]
output [ { name: "mean" data_type: TYPE_FP32 dims: [ 3 ] }, { name: "total" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
)


def tokens_graph() -> onnx.GraphProto:
    """The sum of the tokens."""
    return helper.make_graph(
        [helper.make_node("ReduceSum", ["tokens", "axis"], ["total"], keepdims=1)],
        "tokens",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", "length"])],
        [helper.make_tensor_value_info("total", TensorProto.INT64, ["n", 1])],
        [numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )


TOKENS_CONFIG = (
    BATCHING
    + """input [ { name: "tokens" data_type: TYPE_INT64 dims: [ -1 ] } ]
output [ { name: "total" data_type: TYPE_INT64 dims: [ 1 ] } ]
"""
)

TABLE = np.arange(40, dtype=np.float32).reshape(10, 4) / 8


def lookup_graph() -> onnx.GraphProto:
    """A row of TABLE."""
    return helper.make_graph(
        [
            helper.make_node("Gather", ["table", "index"], ["rows"], axis=0),
            helper.make_node("Squeeze", ["rows", "axis"], ["row"]),
        ],
        "lookup",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["n", 1])],
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )


LOOKUP_CONFIG = (
    BATCHING
    + """input [ { name: "index" data_type: TYPE_INT64 dims: [ 1 ] } ]
output [ { name: "row" data_type: TYPE_FP32 dims: [ 4 ] } ]
"""
)


def slow_graph() -> onnx.GraphProto:
    """A chain of 20 products of 1200 x 1200 matrices: seconds of work on one core, and 0 for any input."""
    size = numpy_helper.from_array(np.array([1200, 1200], np.int64), "size")
    nodes = [
        helper.make_node("Reshape", ["seed", "scalar"], ["value"]),
        helper.make_node("Expand", ["value", "size"], ["product0"]),
        *(helper.make_node("MatMul", [f"product{n}", f"product{n}"], [f"product{n + 1}"]) for n in range(20)),
        helper.make_node("ReduceMax", ["product20", "axes"], ["most"], keepdims=0),
        helper.make_node("Reshape", ["most", "vector"], ["result"]),
    ]
    return helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("seed", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1])],
        [
            size,
            numpy_helper.from_array(np.array([], np.int64), "scalar"),
            numpy_helper.from_array(np.array([0, 1], np.int64), "axes"),
            numpy_helper.from_array(np.array([1], np.int64), "vector"),
        ],
    )


SLOW_CONFIG = """input [ { name: "seed" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "result" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 } ]
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
"""


def write_tiny_repository(root: Path) -> Path:
    """Writes the three tiny models and gives back `root`."""
    write_model(root / "image", image_graph(), IMAGE_CONFIG)
    write_model(root / "tokens", tokens_graph(), TOKENS_CONFIG)
    write_model(root / "lookup", lookup_graph(), LOOKUP_CONFIG)
    return root
