"""Imports torchvision beside a torch that knows no CUDA; import this module before anything that imports torchvision.

The wheel of the package index links its compiled operators against CUDA. Beside a CPU torch they cannot be loaded, and
torchvision falls at its import, because it describes operators that are not there ("torchvision::nms does not exist").
Models and transforms need none of them, so the descriptions that fail are passed over.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _import() -> None:
    strict = torch.library.register_fake

    def lenient(op: Any, func: Any = None, /, **options: Any) -> Any:
        def register(function: _Function) -> _Function:
            try:
                registered: _Function = strict(op, **options)(function)
            except RuntimeError:
                if isinstance(op, str) and op.startswith("torchvision::"):
                    return function
                raise
            return registered

        return register if func is None else register(func)

    torch.library.register_fake = lenient
    try:
        import torchvision  # noqa: F401, PLC0415  # imported for its effect, while the exception holds
    finally:
        torch.library.register_fake = strict


_import()
