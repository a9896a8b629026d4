"""Reading trained weights without torch, and without running what a file asks for."""

import builtins
import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from sosie.training.checkpoints import read_legacy_torch, read_safetensors
from sosie.training.errors import WeightsError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def save_legacy(state: Any) -> bytes:
    """What torch.save wrote before version 1.6."""
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def pickle_header() -> bytes:
    """The three values that come before the state dict."""
    return b"".join(pickle.dumps(value, protocol=2) for value in (MAGIC, PROTOCOL, {"little_endian": True}))


class Forgery(pickle.Pickler):
    """Writes a tensor as torch does, with whatever place in its storage."""

    def persistent_id(self, value: object) -> object:
        return ("storage", torch.FloatStorage, "0", "cpu", 6, None) if value is Forgery else None


def forge_tensor(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A file with one tensor, described as given, over a storage of the numbers 0 to 5."""

    class Tensor:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (Forgery, offset, shape, strides, False, OrderedDict())

    file = io.BytesIO()
    Forgery(file, protocol=2).dump(OrderedDict(weight=Tensor()))
    storage = struct.pack("<q6f", 6, *range(6))
    return pickle_header() + file.getvalue() + pickle.dumps(["0"], protocol=2) + storage


def test_arrays_are_torchs() -> None:
    """Tensors of float32 and int64 come out as torch holds them, transposed, sliced, shared and scalar ones too."""
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = OrderedDict(
        whole=whole, turned=whole.T, part=whole[1:3, 2:4], one=torch.tensor(7.5), count=torch.tensor([3, -4])
    )

    arrays = read_legacy_torch(save_legacy(state))

    assert list(arrays) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy(), strict=True)


@pytest.mark.parametrize("callable_", [os.system, builtins.eval, builtins.getattr, torch.load])
def test_foreign_names_are_refused(callable_: Any, tmp_path: Path) -> None:
    """A file that asks for anything but tensors is refused by that name, and nothing of it runs."""
    mark = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return callable_, (f"open({str(mark)!r}, 'w')",)

    with pytest.raises(WeightsError, match="refused"):
        read_legacy_torch(pickle_header() + pickle.dumps({"weight": Hostile()}, protocol=2))
    assert not mark.exists()


def test_hostile_header_is_refused(tmp_path: Path) -> None:
    """The values before the state dict are read with the same restraint."""

    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    with pytest.raises(WeightsError, match="refused"):
        read_legacy_torch(pickle.dumps(Hostile(), protocol=2))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (1, (6,), (1,)),
        (-1, (2,), (1,)),
        (0, (2, 3), (1, 64)),
        (5, (3,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2**62,), (4,)),
        (0, (2**40,), (0,)),
    ],
)
def test_tensors_stay_in_their_storage(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    """A tensor whose description reaches outside of its storage of 6 numbers is refused."""
    honest = read_legacy_torch(forge_tensor(1, (2, 2), (1, 3)))["weight"]
    np.testing.assert_array_equal(honest, [[1, 4], [2, 5]])

    with pytest.raises(WeightsError, match="outside"):
        read_legacy_torch(forge_tensor(offset, shape, strides))


@pytest.mark.parametrize("cut", [0, 10, 200, -3])
def test_broken_files_are_refused(cut: int) -> None:
    """A file that ends too early is refused."""
    with pytest.raises(WeightsError):
        read_legacy_torch(save_legacy(OrderedDict(weight=torch.zeros(6)))[:cut])


def test_new_format_is_refused() -> None:
    """A file in torch's later format is refused as another one."""
    file = io.BytesIO()
    torch.save(OrderedDict(weight=torch.zeros(6)), file)

    with pytest.raises(WeightsError, match="legacy format"):
        read_legacy_torch(file.getvalue())


def test_safetensors() -> None:
    """A safetensors file gives its arrays, and anything else is refused."""
    arrays = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}

    np.testing.assert_array_equal(read_safetensors(safetensors.numpy.save(arrays))["weight"], arrays["weight"])
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_safetensors(struct.pack("<Q", 1 << 40))
