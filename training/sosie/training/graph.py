"""Writes ONNX graphs node by node, with onnx's own builders.

Opset 18 and IR version 9, in one file: what Triton's onnxruntime backend reads since release 23.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from sosie.training.vectors import TINY

OPSET = 18
IR_VERSION = 9

FLOAT, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8


class GraphBuilder:
    """Collects the nodes and arrays of one graph; names of values are made as they are needed.

    `digest()` covers the arrays that were given as they are, in their order. Those that were `computed` on this
    machine count by name and shape alone: their last bits depend on the processor, and the digest must not.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._arrays: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._digest = hashlib.sha256()

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        """Declares an input; names in the shape are free sizes."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def array(self, name: str, values: npt.ArrayLike, *, computed: bool = False) -> str:
        """Adds a constant array under a name of its own; floats become float32."""
        data = np.asarray(values)
        if data.dtype.kind == "f":
            data = data.astype(np.float32)
        if name in self._arrays:
            raise ValueError(f"graph {self._name}: two arrays are called {name}")
        self._arrays[name] = numpy_helper.from_array(np.ascontiguousarray(data), name)
        self._digest.update(f"{name} {data.dtype.str} {data.shape}\n".encode())
        if not computed:
            self._digest.update(data.tobytes())
        return name

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self._small(np.asarray(value, np.float32), f"number_{value!r}")

    def integers(self, *values: int) -> str:
        """An int64 vector, as shapes and axes are given."""
        return self._small(np.asarray(values, np.int64), "integers_" + "_".join(map(str, values)))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output; returns the output's name."""
        return self.nodes(operator, *inputs, outputs=1, **attributes)[0]

    def nodes(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Adds a node with several outputs; returns their names."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        results = [name] if outputs == 1 else [f"{name}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), results, name=name, **attributes))
        return results

    def linear(
        self, name: str, value: str, matrix: npt.ArrayLike, bias: npt.ArrayLike, *, computed: bool = False
    ) -> str:
        """Adds value [..., n] @ matrix [n, m] + bias [m]."""
        product = self.node("MatMul", value, self.array(f"{name}.matrix", matrix, computed=computed))
        return self.node("Add", product, self.array(f"{name}.bias", bias, computed=computed))

    def unit(self, value: str) -> str:
        """Rows scaled to unit length; zero rows stay zero."""
        length = self.node("ReduceL2", value, self.integers(-1), keepdims=1)
        return self.node("Div", value, self.node("Max", length, self.number(TINY)))

    def gelu(self, value: str) -> str:
        """x/2 (1 + erf(x / sqrt 2)), in the order of nodes that onnxruntime fuses with the bias before it."""
        error = self.node("Erf", self.node("Div", value, self.number(math.sqrt(2))))
        doubled = self.node("Mul", value, self.node("Add", error, self.number(1.0)))
        return self.node("Mul", doubled, self.number(0.5))

    def output(self, name: str, value: str, shape: Sequence[int | str], dtype: int = FLOAT) -> None:
        """Declares a value as an output under a name."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"output_{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def digest(self) -> str:
        """SHA-256 over the arrays, in hexadecimal digits."""
        return self._digest.hexdigest()

    def model(self) -> onnx.ModelProto:
        """The finished model, checked by onnx."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, initializer=list(self._arrays.values())
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="sosie"
        )
        onnx.checker.check_model(model)
        return model

    def _small(self, data: npt.NDArray[Any], name: str) -> str:
        return name if name in self._arrays else self.array(name, data)
