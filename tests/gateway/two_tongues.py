"""A Triton with encoders of two embedding spaces of the same shape, neither of which understands the other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from canned_triton import CannedTriton
from fakes import FAKE_SPACE
from sosie.engine.space import EmbeddingSpace, Vector

SPACES = (FAKE_SPACE, replace(FAKE_SPACE, name="fake-000000000002"))


def point(space: EmbeddingSpace, size: int) -> Vector:
    """What an encoder of this space says of everything: at right angles to what the other's says."""
    vector = np.zeros(size, np.float32)
    vector[SPACES.index(space)] = 1
    return vector


class TwoTongues(CannedTriton):
    """Serves a pair of encoders for each of SPACES."""

    def __init__(self, tokenizer_sha256: str, spaces: Sequence[EmbeddingSpace] = SPACES) -> None:
        super().__init__(tokenizer_sha256=tokenizer_sha256)
        self._spaces = {}
        self._configs = {}
        for number, space in enumerate(spaces):
            for name, config in CannedTriton(space, tokenizer_sha256)._configs.items():
                self._configs[f"{name}_{number}"] = config
                self._spaces[f"{name}_{number}"] = space

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        rows = request.inputs[0].shape[0]
        reply = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
        for output in self._configs[request.model_name].output:
            (size,) = output.dims
            reply.outputs.add(name=output.name, datatype="FP32", shape=[rows, size])
            vector = point(self._spaces[request.model_name], size)
            reply.raw_output_contents.append(np.tile(vector, (rows, 1)).tobytes())
        return reply
