"""Reads trained weights from their files, without torch.

Two formats: safetensors, and the one that torch.save wrote before version 1.6. The latter is a row of pickles, and
unpickling can run any code; here it reaches four names and no more.

The legacy format, in order: a magic number, the protocol 1001, facts about the machine, a dict of tensors that refer to
storages by persistent ids, the list of the storages' keys, and for each storage its length (int64) and its values.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from sosie.training.errors import WeightsError

Arrays = Mapping[str, npt.NDArray[Any]]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {("torch", "FloatStorage"): np.dtype("<f4"), ("torch", "LongStorage"): np.dtype("<i8")}


def read_safetensors(data: bytes) -> Arrays:
    """The arrays of a safetensors file by name. Raises WeightsError."""
    try:
        arrays: Arrays = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"not a safetensors file: {error}") from error
    return arrays


def read_legacy_torch(data: bytes) -> Arrays:
    """The arrays of a state dict that torch.save wrote before 1.6, by name.

    Raises WeightsError where the file is not one, or holds anything but tensors of float32 and int64.
    """
    file = io.BytesIO(data)
    try:
        header = [_Unpickler(file).load() for _ in range(3)]
        if header[:2] != [_MAGIC, _PROTOCOL]:
            raise WeightsError("not a file in torch's legacy format: it starts otherwise")
        unpickler = _Unpickler(file)
        tensors = unpickler.load()
        storages = {}
        for key in _Unpickler(file).load():
            (length,) = np.frombuffer(file.read(8), "<i8")
            dtype = unpickler.dtypes[key]
            storages[key] = np.frombuffer(file.read(int(length) * dtype.itemsize), dtype)
        return {name: tensor.read(storages) for name, tensor in tensors.items()}
    except WeightsError:
        raise
    except Exception as error:  # a broken or hostile pickle can raise anything
        raise WeightsError(f"not a state dict in torch's legacy format: {error!r}") from error


@dataclass(frozen=True)
class _Storage:
    key: str


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor's values lie in its storage; offset and strides count values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, storages: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        values = storages[self.storage.key]
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        spread = math.prod(self.shape)  # a stride of 0 would make any number of values out of one
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or not last < len(values) >= spread > 0:
            raise WeightsError("a tensor of the file lies outside of its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False).copy()


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> _Tensor:
    """Stands in for torch._utils._rebuild_tensor_v2; its further arguments concern gradients."""
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Reaches the names that a state dict of tensors needs, and refuses every other."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) in _STORAGES:
            return _STORAGES[module, name]
        raise WeightsError(f"the file asks for {module}.{name}, which no state dict needs: refused")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or dtype not in _STORAGES.values():
            raise WeightsError(f"the file refers to {kind!r}: only storages of float32 and int64 are read")
        self.dtypes[key] = dtype
        return _Storage(key)
