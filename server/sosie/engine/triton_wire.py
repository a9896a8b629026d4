"""Inference requests and replies as bytes: KServe v2's ModelInfer, without building protobuf messages for each.

All requests to one model for inputs of one shape begin with the same bytes, and so do its replies for one number of
rows. Both beginnings are made, or read, by protobuf once and remembered; what follows them is the tensors as they are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from sosie.engine.errors import BackendError
from sosie.engine.wire import begin_field

Outputs = dict[str, npt.NDArray[np.float32]]
"""By name, each [n, size]."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_MAX_REMEMBERED = 512  # shapes: a text model sees one for each number of tokens


class InferenceCodec:
    """Requests to one model and replies of it; `sizes` are the numbers in a row of each output that is asked for.

    `priority` is Triton's: 1 is the highest, 0 leaves it to the model's config.
    """

    def __init__(self, model: str, sizes: Mapping[str, int], *, priority: int) -> None:
        self._model = model
        self._sizes = sizes
        self._priority = priority
        self._heads: dict[tuple[str, np.dtype[np.generic], tuple[int, ...]], bytes] = {}
        self._layouts: dict[tuple[int, int], _Layout] = {}

    def write(self, name: str, batch: npt.NDArray[np.generic]) -> bytes:
        """A ModelInferRequest for the input `name`, [n, ...], of integers.

        `raw_input_contents` is the message's last field, so the request is its head and the tensor's bytes. Building
        the whole message anew costs five times as much and copies the tensor twice.
        """
        key = (name, batch.dtype, batch.shape)
        head = self._heads.get(key)
        if head is None:
            _make_room(self._heads)
            head = self._heads[key] = self._make_head(name, batch.dtype, batch.shape)
        return b"".join((head, np.ascontiguousarray(batch).data))

    def read(self, reply: bytes, rows: int) -> Outputs:
        """The outputs of a ModelInferResponse. Raises BackendError where they are not what the config promises."""
        layout = self._layouts.get((rows, len(reply)))
        if layout is None or not layout.fits(reply):
            return self._parse(reply, rows)
        return {
            name: np.frombuffer(reply[start:end], np.float32).reshape(rows, -1) for name, start, end in layout.tensors
        }

    def _make_head(self, name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
        request = service_pb2.ModelInferRequest(model_name=self._model)
        request.inputs.add(name=name, datatype=dtype.name.upper(), shape=shape)
        for output in self._sizes:
            request.outputs.add(name=output)
        if self._priority:
            request.parameters["priority"].uint64_param = self._priority
        field_number = service_pb2.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER
        head: bytes = request.SerializeToString()
        return head + begin_field(field_number, math.prod(shape) * dtype.itemsize)

    def _parse(self, reply: bytes, rows: int) -> Outputs:
        """Reads a reply by protobuf, and remembers where its tensors lie."""
        try:
            response = service_pb2.ModelInferResponse.FromString(reply)
        except DecodeError as error:
            raise BackendError(f"model {self._model!r} answered what is no ModelInferResponse") from error
        raws = list(response.raw_output_contents)
        outputs = list(response.outputs)
        if len(raws) != len(outputs) or {output.name for output in outputs} != set(self._sizes):
            names = sorted(output.name for output in outputs)
            raise BackendError(f"model {self._model!r} answered {names}, its config promises {sorted(self._sizes)}")
        found = {}
        for output, raw in zip(outputs, raws, strict=True):
            size = self._sizes[output.name]
            right = output.datatype == "FP32" and list(output.shape[:1]) == [rows]
            if not right or len(raw) != rows * size * np.dtype(np.float32).itemsize:
                raise BackendError(
                    f"model {self._model!r}: output {output.name!r} is {output.datatype} {list(output.shape)}, "
                    f"its config promises FP32 [{rows}, {size}]"
                )
            found[output.name] = np.frombuffer(raw, np.float32).reshape(rows, -1)
        layout = _find_tensors(reply, [output.name for output in outputs], raws)
        if layout is not None:
            _make_room(self._layouts)
            self._layouts[rows, len(reply)] = layout
        return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the tensors of a reply lie, for replies that are the same but for their numbers."""

    fixed: tuple[tuple[int, bytes], ...]
    """What stands before each tensor, with its offset."""
    tensors: tuple[tuple[str, int, int], ...]
    """Name, start and end."""

    def fits(self, reply: bytes) -> bool:
        """Whether a reply of the right length is one of these."""
        for offset, expected in self.fixed:  # noqa: SIM110 - all() costs as much as the rest
            if not reply.startswith(expected, offset):
                return False
        return True


def _find_tensors(reply: bytes, names: list[str], raws: list[bytes]) -> _Layout | None:
    """The layout of a reply whose tensors are its last fields, as Triton writes them; None for another."""
    field_number = service_pb2.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER
    headers = [begin_field(field_number, len(raw)) for raw in raws]
    tail = b"".join(part for pair in zip(headers, raws, strict=True) for part in pair)
    if not reply.endswith(tail):
        return None
    offset = len(reply) - len(tail)
    fixed, tensors = [], []
    before = reply[:offset]
    for name, header, raw in zip(names, headers, raws, strict=True):
        fixed.append((offset - len(before), before + header))
        start = offset + len(header)
        offset = start + len(raw)
        tensors.append((name, start, offset))
        before = b""
    return _Layout(tuple(fixed), tuple(tensors))


def _make_room(remembered: dict[_Key, _Value]) -> None:
    """Keeps what is remembered within its bound."""
    if len(remembered) >= _MAX_REMEMBERED:
        remembered.clear()
