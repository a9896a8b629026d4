"""From a tower to one ONNX file: a free batch, one output a part."""

from collections.abc import Sequence

import onnx
import torch
from onnx import compose, helper

from sosie.training import colour
from sosie.training.exporting import export_network
from sosie.training.graph import FLOAT, UINT8, GraphBuilder

_TOWER = "tower"


def export_tower(tower: torch.nn.Module, example: torch.Tensor, *, input_name: str, parts: Sequence[str]) -> bytes:
    """The graph of a tower: `input_name` of the example's shape, but for a free batch; each part is its output."""
    model = export_network(tower, example, input_name=input_name, outputs=[_TOWER])
    graph = model.graph
    (size,) = (dim.dim_value for dim in graph.output[0].type.tensor_type.shape.dim[1:])
    del graph.output[:]
    for part in parts:  # one tensor cannot be two outputs: onnxruntime calls that a duplicate definition
        graph.node.append(helper.make_node("Identity", [_TOWER], [part], name=f"output_{part}"))
        graph.output.append(helper.make_tensor_value_info(part, FLOAT, ["n", size]))
    return model.SerializeToString()


def add_colour(tower: bytes, size: int) -> bytes:
    """The graph of an image tower with the part `colour` besides, read off the same input in float32."""
    builder = GraphBuilder("colour")
    image = builder.input("image", UINT8, ["n", size, size, 3])
    picture = builder.node("Transpose", builder.node("Cast", image, to=FLOAT), perm=[0, 3, 1, 2])
    builder.output("colour", colour.add_colour(builder, picture, size), ["n", colour.SIZE])
    added = compose.add_prefix(builder.model(), "colour/", rename_inputs=False, rename_outputs=False).graph
    model = onnx.load_from_string(tower)
    model.graph.node.extend(added.node)
    model.graph.initializer.extend(added.initializer)
    model.graph.output.extend(added.output)
    onnx.checker.check_model(model)
    return model.SerializeToString()
