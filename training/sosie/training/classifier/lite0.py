"""EfficientNet-Lite0 in torch, for training: the network of `efficientnet`, its batch normalisations folded in.

Folded, a step on a processor costs half of what it does with them, and keeps the statistics of ImageNet, which a small
catalog would only blur.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sosie.training.checkpoints import Arrays
from sosie.training.efficientnet import EPSILON, FEATURES, STEM_FILTERS, Block, blocks, fold, same_padding


class Convolution(nn.Module):  # type: ignore[misc]  # torch is taken for untyped
    """A convolution with TensorFlow's SAME padding, then ReLU6 if `clip`; `names` are its and its normalisation's."""

    def __init__(
        self,
        names: tuple[str, str],
        sizes: tuple[int, int],
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        clip: bool,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.names = names
        self.clip = clip
        self.convolution = nn.Conv2d(*sizes, kernel, stride, padding, groups=groups)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        (kernel, _), (stride, _) = self.convolution.kernel_size, self.convolution.stride
        if stride > 1:  # the odd pixel goes after, which a convolution's own padding cannot say
            rows, columns = (same_padding(size, kernel, stride) for size in values.shape[-2:])
            values = functional.pad(values, (*columns, *rows))
        values = self.convolution(values)
        return functional.relu6(values, inplace=True) if self.clip else values


class InvertedResidual(nn.Module):  # type: ignore[misc]  # as above
    """Widen, filter each channel, narrow, and add the input where the shapes allow it."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        name, wide = block.name, block.filters_in * block.expansion
        steps = []
        if block.expansion > 1:
            names = (f"{name}._expand_conv", f"{name}._bn0")
            steps.append(Convolution(names, (block.filters_in, wide), 1, clip=True))
        names = (f"{name}._depthwise_conv", f"{name}._bn1")
        steps.append(Convolution(names, (wide, wide), block.kernel, stride=block.stride, groups=wide, clip=True))
        names = (f"{name}._project_conv", f"{name}._bn2")
        steps.append(Convolution(names, (wide, block.filters_out), 1, clip=False))
        self.steps = nn.Sequential(*steps)
        self.adds = block.stride == 1 and block.filters_in == block.filters_out

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result = self.steps(values)
        return result + values if self.adds else result


class Lite0(nn.Module):  # type: ignore[misc]  # as above
    """The network without its classifier: normalised pictures [n, 3, size, size] -> features [n, 1280]."""

    def __init__(self) -> None:
        super().__init__()
        table = list(blocks())
        stem = Convolution(("_conv_stem", "_bn0"), (3, STEM_FILTERS), 3, stride=2, clip=True)
        head = Convolution(("_conv_head", "_bn1"), (table[-1].filters_out, FEATURES), 1, clip=True)
        self.layers = nn.Sequential(stem, *(InvertedResidual(block) for block in table), head)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.layers(values).mean((2, 3))
        return pooled

    def load(self, weights: Arrays) -> None:
        """Takes the weights as their package names them."""
        with torch.no_grad():
            for module in self._convolutions():
                kernel, bias = fold(weights, *module.names)
                module.convolution.weight.copy_(torch.from_numpy(kernel))
                module.convolution.bias.copy_(torch.from_numpy(bias))

    def to_arrays(self) -> Arrays:
        """The weights as `efficientnet.add_tower` reads them, with normalisations that change nothing."""
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for module in self._convolutions():
            convolution, normalisation = module.names
            bias = module.convolution.bias.detach().cpu().numpy()
            ones = np.ones(len(bias))
            arrays[f"{convolution}.weight"] = module.convolution.weight.detach().cpu().contiguous().numpy()
            arrays[f"{normalisation}.bias"] = bias
            arrays[f"{normalisation}.weight"] = ones * math.sqrt(1 + EPSILON)
            arrays[f"{normalisation}.running_mean"], arrays[f"{normalisation}.running_var"] = 0 * ones, ones
        return arrays

    def _convolutions(self) -> list[Convolution]:
        return [module for module in self.modules() if isinstance(module, Convolution)]


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """The tensors that a checkpoint of the network's package holds, but for its classifier's and counters."""
    shapes: dict[str, tuple[int, ...]] = {}
    for module in Lite0()._convolutions():  # noqa: SLF001  # of this module
        convolution, normalisation = module.names
        shapes[f"{convolution}.weight"] = tuple(module.convolution.weight.shape)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{normalisation}.{name}"] = (len(module.convolution.bias),)
    return shapes
