"""The same-product head as a model: two pictures' vectors -> the probability that they show the same product.

The graph takes `pair`, float32 [n, 2, size]: rows of the space that it was trained in, as an index holds them, so that
two indexed pictures are compared without being encoded again. It reads only the parts that a picture fills and answers
`probability` [n, 1]. Its role, pair_scorer, is none of the engine's: the gateway passes the model over.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from sosie.engine.space import EmbeddingSpace
from sosie.training.errors import RepositoryError
from sosie.training.graph import FLOAT, GraphBuilder
from sosie.training.heads import Floats
from sosie.training.repository import CONFIG, GRAPH, Model
from sosie.training.sessions import open_session
from sosie.training.triton_config import Tensor, read_parameters, write_config

ROLE = "pair_scorer"
THREADS = 1


@dataclass(frozen=True)
class PairHead:
    """A symmetric head: logit = cosines @ weights + bias + a perceptron of |a - b| and a * b of the main part.

    `cosine_parts` are the parts whose cosines count, with a weight each; `inner` [2 * size, hidden] and `outer`
    [hidden] are the perceptron's over the part `main`, a ReLU between them. `slope` and `offset` calibrate the logit.
    """

    cosine_parts: tuple[str, ...]
    cosine_weights: Floats
    bias: float
    main: str
    inner: Floats
    inner_bias: Floats
    outer: Floats
    slope: float = 1.0
    offset: float = 0.0

    def logits(self, left: Mapping[str, Floats], right: Mapping[str, Floats]) -> Floats:
        """The uncalibrated logits [n] of pairs, from the parts [n, size] of each picture."""
        cosines = np.stack([(left[name] * right[name]).sum(1) for name in self.cosine_parts], axis=1)
        hidden = np.maximum(compare(left[self.main], right[self.main]) @ self.inner + self.inner_bias, 0)
        logits: Floats = cosines @ self.cosine_weights + np.float32(self.bias) + hidden @ self.outer
        return logits

    def score(self, left: Mapping[str, Floats], right: Mapping[str, Floats]) -> Floats:
        """Calibrated probabilities [n]."""
        probabilities: Floats = 1 / (1 + np.exp(-(self.slope * self.logits(left, right) + self.offset)))
        return probabilities


def compare(left: Floats, right: Floats) -> Floats:
    """|a - b| and size * a * b [n, 2 * size] of unit vectors: about as large as each other, alike for (b, a)."""
    size = np.float32(left.shape[1])
    values: Floats = np.concatenate([np.sqrt(size) * np.abs(left - right), size * left * right], axis=1)
    return values


@dataclass(frozen=True)
class Scorer:
    """A same-product head from a repository: the name of its `space`, and the `seed` of its training's split."""

    space: str
    seed: int
    session: onnxruntime.InferenceSession

    def score(self, left: Floats, right: Floats) -> Floats:
        """Probabilities [n] for rows [n, size] of the space."""
        (found,) = self.session.run(["probability"], {"pair": np.stack([left, right], axis=1)})
        probabilities: Floats = found[:, 0]
        return probabilities


def open_scorer(repository: Path, name: str) -> Scorer:
    """The pair scorer in the folder `name`. Raises RepositoryError."""
    try:
        parameters = read_parameters((repository / name / CONFIG).read_text(encoding="utf-8"))
        graph = (repository / name / GRAPH).read_bytes()
    except OSError as error:
        raise RepositoryError(f"{repository} holds no {name}; `sosie models same-product` fits one") from error
    if parameters.get("role") != ROLE:
        raise RepositoryError(f"{repository / name} is no {ROLE}, its role is {parameters.get('role', 'not said')}")
    return Scorer(parameters["scored_space"], int(parameters["split_seed"]), open_session(graph))


def build_scorer(name: str, head: PairHead, space: EmbeddingSpace, *, seed: int, figures: Mapping[str, float]) -> Model:
    """The model folder; `figures` are what was measured of the head."""
    parameters = {
        "role": ROLE,
        "scored_space": space.name,
        "split_seed": str(seed),
        "figures": json.dumps(dict(figures)),
    }
    accepts, answer = Tensor("pair", "FP32", (2, space.size)), Tensor("probability", "FP32", (1,))
    config = write_config(name, accepts=accepts, answers=[answer], parameters=parameters, threads=THREADS)
    return Model(name, {GRAPH: scorer_graph(head, space).model().SerializeToString(), CONFIG: config.encode()})


def scorer_graph(head: PairHead, space: EmbeddingSpace) -> GraphBuilder:
    """`pair` float32 [n, 2, size] -> `probability` [n, 1]."""
    graph = GraphBuilder(ROLE)
    pair = graph.input("pair", FLOAT, ["n", 2, space.size])
    places = {part.name: place for part, place in space.slices()}

    def take(side: int, part: str) -> str:
        vectors = graph.node("Squeeze", _slice(graph, pair, 1, side, side + 1), graph.integers(1))
        return _slice(graph, vectors, 1, places[part].start, places[part].stop)

    cosines = [
        graph.node("ReduceSum", graph.node("Mul", take(0, part), take(1, part)), graph.integers(1), keepdims=1)
        for part in head.cosine_parts
    ]
    value = graph.linear("cosines", graph.node("Concat", *cosines, axis=1), head.cosine_weights[:, None], [head.bias])
    left, right = take(0, head.main), take(1, head.main)
    size = head.inner.shape[0] // 2
    apart = graph.node("Mul", graph.node("Abs", graph.node("Sub", left, right)), graph.number(float(np.sqrt(size))))
    together = graph.node("Mul", graph.node("Mul", left, right), graph.number(float(size)))
    compared = graph.node("Concat", apart, together, axis=1)
    hidden = graph.node("Relu", graph.linear("inner", compared, head.inner, head.inner_bias))
    value = graph.node("Add", value, graph.node("MatMul", hidden, graph.array("outer", head.outer[:, None])))
    value = graph.node("Add", graph.node("Mul", value, graph.number(head.slope)), graph.number(head.offset))
    graph.output("probability", graph.node("Sigmoid", value), ["n", 1])
    return graph


def _slice(graph: GraphBuilder, value: str, axis: int, start: int, stop: int) -> str:
    return graph.node("Slice", value, graph.integers(start), graph.integers(stop), graph.integers(axis))
