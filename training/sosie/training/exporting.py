"""Writes torch networks as ONNX graphs, and holds the graphs to what the networks compute."""

import sosie.training.torchvision_on_cpu  # noqa: F401  # timm's and open_clip's networks import torchvision

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from sosie.training.errors import VerificationError
from sosie.training.graph import IR_VERSION, OPSET
from sosie.training.sessions import open_session
from sosie.training.vectors import cosines

EXAMPLES = 2
"""Rows of the example that is traced; one row would be taken for a fixed batch."""
LEAST_COSINE = 0.9999
"""Between the rows of a graph's output and its network's."""


def export_network(
    network: torch.nn.Module, example: torch.Tensor, *, input_name: str, outputs: Sequence[str]
) -> onnx.ModelProto:
    """The graph of a network with one input whose first size is free, and `outputs` in the network's order.

    `example` has EXAMPLES rows.
    """
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None  # noqa: S101  # without a path it is given back
    model: onnx.ModelProto = program.model_proto
    _forget_origins(model)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def verify_graph(
    graph: bytes,
    network: torch.nn.Module,
    batch: npt.NDArray[np.generic],
    *,
    name: str,
    input_name: str,
    outputs: Sequence[str],
    least: float = LEAST_COSINE,
) -> dict[str, float]:
    """The least cosine of each output's rows between graph and network, over `batch`.

    Raises VerificationError, with the model's `name`, where one is below `least`.
    """
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(batch))
    found = open_session(graph).run(list(outputs), {input_name: batch})
    least_cosines = {}
    for output, one, other in zip(outputs, expected, found, strict=True):
        least_cosines[output] = cosine = float(cosines(one.numpy(), other).min())
        if not cosine >= least:  # NaN fails too
            raise VerificationError(
                f"{name}: the graph's output {output} has cosine {cosine:.5f} to the network's, below {least}; "
                "another version of torch or onnxruntime may do better"
            )
    return least_cosines


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's warnings and notes are of its own inside; the graph is compared with the network afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _forget_origins(model: onnx.ModelProto) -> None:
    """Removes what the exporter noted of the source: paths of this machine among it."""
    graph = model.graph
    noted: list[Any] = [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for thing in noted:
        thing.doc_string = ""
        del thing.metadata_props[:]
    model.producer_name, model.producer_version = "sosie", ""
