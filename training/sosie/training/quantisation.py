"""Turns graphs of float32 into graphs that compute in 8-bit integers, for processors.

Two ways, both of onnxruntime's own tools. Dynamic: the weights are integers, the scales of the activations are found at
each execution; right for transformers, whose time goes into products with constant matrices. Static: the activations'
scales are constants, found once from calibration pictures; right for convolutions. What leads to the outputs in `keep`
and to no others stays float32, as cheap exact parts (colour) should.
"""

import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process

from sosie.engine.inference import Pictures
from sosie.training.sessions import open_session
from sosie.training.vectors import cosines

KEPT = ("colour",)
"""Outputs whose own nodes stay float32 unless told otherwise."""
LEAST_COSINE = 0.999
"""A quantised output below this, on any input, is not the model that it stands for."""
BATCH = 8

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Cosines:
    """Of the rows of one output, quantised against float32: the least cosine and the mean."""

    least: float
    mean: float


def quantise_dynamic(graph: bytes, *, keep: Collection[str] = KEPT) -> bytes:
    """The graph with the constant matrices of its MatMul and Gemm nodes in int8, one scale a column.

    Weights use 7 of their 8 bits (`reduce_range`): AVX2 adds pairs of products in 16 bits, which overflow otherwise.
    """

    def quantise(given: str, done: str, model: onnx.ModelProto) -> None:
        quantize_dynamic(
            given,
            done,
            op_types_to_quantize=["MatMul"],  # Gemm has become MatMul by then
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_float_nodes(model, keep),
        )

    return _quantise(graph, quantise)


def quantise_static(
    graph: bytes, pictures: Pictures, *, input_name: str = "image", keep: Collection[str] = KEPT
) -> bytes:
    """The graph with its convolutions, and what lies between them, in int8 (QDQ form).

    `pictures` [n, size, size, 3] show the range of every activation; some dozens of the kind that will be asked about
    are enough. Matrices behind the pooled features stay float32: they cost nothing and would carry errors on.

    Weights are unsigned around 128: beside signed ones, AVX2's sums of 16 bits overflow. Those of depthwise
    convolutions are signed: their kernel has no such sums, and for unsigned ones of several scales onnxruntime has only
    a slow one. docs/models.md has the measurements.
    """

    def quantise(given: str, done: str, model: onnx.ModelProto) -> None:
        signed = [{"quant_type": QuantType.QInt8, "axis": 0, "symmetric": True}]
        overrides = dict.fromkeys(_depthwise_kernels(model), signed)
        quantize_static(
            given,
            done,
            _Calibration(input_name, pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Relu", "Clip", "MaxPool"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"WeightSymmetric": True, "TensorQuantOverrides": overrides},
            nodes_to_exclude=_float_nodes(model, keep),
        )

    return _quantise(graph, quantise)


def compare(reference: bytes, quantised: bytes, feeds: Arrays, *, batch: int = BATCH) -> dict[str, Cosines]:
    """The cosines of each output's rows between two graphs, over the inputs by name, each [n, ...]."""
    one, other = (_run(graph, feeds, batch) for graph in (reference, quantised))
    found = {}
    for name, rows in one.items():
        compared = cosines(rows, other[name])
        found[name] = Cosines(float(compared.min()), float(compared.mean()))
    return found


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime comes without types
    """Hands the calibration pictures out batch by batch."""

    def __init__(self, name: str, pictures: Pictures) -> None:
        self._feeds = iter([{name: pictures[start : start + BATCH]} for start in range(0, len(pictures), BATCH)])

    def get_next(self) -> dict[str, Pictures] | None:
        """The next batch, None after the last."""
        return next(self._feeds, None)


def _quantise(graph: bytes, quantise: Callable[[str, str, onnx.ModelProto], None]) -> bytes:
    """What `quantise` makes of a graph with batch normalisations folded into convolutions and every node named.

    It takes the paths of that graph and of its result, and the graph itself. onnxruntime's tools are given paths: what
    they do with a model in memory breaks on small constants.
    """
    with tempfile.TemporaryDirectory(prefix="sosie-quantise-") as folder:
        given, prepared, done = (str(Path(folder) / name) for name in ("given.onnx", "prepared.onnx", "done.onnx"))
        Path(given).write_bytes(graph)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        rewritten = ONNXModel(onnx.load(prepared))
        rewritten.replace_gemm_with_matmul()  # as the quantiser will, which renames: nodes are to be known by name
        model = rewritten.model
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"
        onnx.save(model, prepared)
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)  # of channels whose weights are all but zero: their biases need no precision
        try:
            quantise(prepared, done, model)
        finally:
            logging.disable(level)
        return Path(done).read_bytes()


def _float_nodes(model: onnx.ModelProto, keep: Collection[str]) -> list[str]:
    """The names of the nodes that lead to outputs in `keep` and to no others."""
    outputs = {output.name for output in model.graph.output}
    kept = _upstream(model, outputs & set(keep))
    return sorted(kept - _upstream(model, outputs - set(keep)))


def _depthwise_kernels(model: onnx.ModelProto) -> list[str]:
    """The weights of convolutions in more than one group."""
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return [node.input[1] for node in convolutions if any(a.name == "group" and a.i > 1 for a in node.attribute)]


def _upstream(model: onnx.ModelProto, values: Collection[str]) -> set[str]:
    """The names of the nodes that the values depend on."""
    makers = {value: node for node in model.graph.node for value in node.output}
    found: set[str] = set()
    waiting = list(values)
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += node.input
    return found


def _run(graph: bytes, feeds: Arrays, batch: int) -> dict[str, npt.NDArray[Any]]:
    session = open_session(graph)
    names = [output.name for output in session.get_outputs()]
    pieces = [session.run(names, feed) for feed in _batches(feeds, batch)]
    return {name: np.concatenate(values) for name, values in zip(names, zip(*pieces, strict=True), strict=True)}


def _batches(feeds: Arrays, batch: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    count = len(next(iter(feeds.values())))
    for start in range(0, count, batch):
        yield {name: values[start : start + batch] for name, values in feeds.items()}
