"""What stands on the towers: linear maps, and the meaning that a picture has without any fitting."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from sosie.training import efficientnet, imagenet, parts
from sosie.training.checkpoints import Arrays
from sosie.training.graph import GraphBuilder

Floats = npt.NDArray[np.float32]


class Head(Protocol):
    """A small network on a tower's output. Its vectors are brought to unit length by whoever adds it."""

    @property
    def size(self) -> int:
        """Numbers in its output."""
        ...

    def add(self, graph: GraphBuilder, name: str, features: str) -> str:
        """Adds it to a graph: features [n, m] -> vectors [n, size] of any length; its arrays' names start by `name`."""
        ...


@dataclass(frozen=True)
class Projection:
    """A linear map of features [n, m]: (features - mean [m]) @ matrix [m, size]. Whitening is one.

    `computed` says that it was worked out on this machine, so that its last bits may differ on another.
    """

    mean: Floats
    matrix: Floats
    computed: bool = False

    @property
    def size(self) -> int:
        return int(self.matrix.shape[1])

    @classmethod
    def whiten(cls, weights: Arrays) -> Self:
        """The whitening of the look part, read off the weights of the image tower."""
        mean, matrix = parts.look_statistics(weights["_bn1.weight"], weights["_bn1.bias"], weights["_fc.weight"])
        return cls(mean, matrix, computed=True)

    def add(self, graph: GraphBuilder, name: str, features: str) -> str:
        mean, matrix = self.mean.astype(np.float64), self.matrix.astype(np.float64)
        return graph.linear(name, features, matrix, -mean @ matrix, computed=self.computed)


@dataclass(frozen=True)
class Perceptron:
    """A network of two layers with a GELU between them: weights ([m, hidden], [hidden, size]) and a bias for each."""

    weights: tuple[Floats, Floats]
    biases: tuple[Floats, Floats]

    @property
    def size(self) -> int:
        return int(self.weights[1].shape[1])

    def add(self, graph: GraphBuilder, name: str, features: str) -> str:
        inner = graph.gelu(graph.linear(f"{name}.inner", features, self.weights[0], self.biases[0]))
        return graph.linear(f"{name}.outer", inner, self.weights[1], self.biases[1])


@dataclass(frozen=True)
class ClassNames:
    """Says a picture's most probable classes: the mean of their names' vectors, weighted by the probabilities.

    `names` [1000, n] are the sentence vectors of the class names, `weights` those of the image tower.
    """

    weights: Arrays
    names: Floats

    def __post_init__(self) -> None:
        if self.names.shape[0] != imagenet.CLASSES:
            raise ValueError(f"{imagenet.CLASSES} vectors of class names are needed, got {self.names.shape[0]}")

    @property
    def size(self) -> int:
        return int(self.names.shape[1])

    def add(self, graph: GraphBuilder, name: str, features: str) -> str:
        probabilities = efficientnet.add_classifier(graph, self.weights, features)
        likely, classes = graph.nodes("TopK", probabilities, graph.integers(parts.MEANING_CLASSES), outputs=2, axis=-1)
        vectors = graph.node("Gather", graph.array(f"{name}.classes", self.names, computed=True), classes, axis=0)
        mixed = graph.node("MatMul", graph.node("Unsqueeze", likely, graph.integers(1)), vectors)
        return graph.node("Squeeze", mixed, graph.integers(1))
