"""The encoder's double behind a Triton in this process, for indexers in processes of their own."""

from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from canned_triton import CannedTriton
from fakes import FakeEncoder, write_fake_tokenizer

LIMIT = 10.0


class ServedFake(CannedTriton):
    """Answers what `encoder` does. `models` becomes the repository with its tokenizer."""

    def __init__(self, models: Path) -> None:
        self.encoder = FakeEncoder(tokenizer_sha256=write_fake_tokenizer(models))
        super().__init__(self.encoder.space, self.encoder.text_input.tokenizer_sha256)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        (asked,) = request.inputs
        (raw,) = request.raw_input_contents
        batch = np.frombuffer(raw, asked.datatype.lower()).reshape(asked.shape)
        encode = self.encoder.encode_images if request.model_name == "canned_image" else self.encoder.encode_texts
        parts = await encode(batch, timeout=LIMIT)
        reply = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
        for output in request.outputs:
            values = parts[output.name]
            reply.outputs.add(name=output.name, datatype="FP32", shape=values.shape)
            reply.raw_output_contents.append(np.asarray(values, np.float32).tobytes())
        return reply
