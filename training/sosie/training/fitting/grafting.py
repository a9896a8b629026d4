"""Makes a new embedding space from an old one: grafts heads upon the graphs of a repository, and describes the result.

A new model is the old one's folder, its graph grown by a head, its configs by an output; all that was there stays as it
is, bit by bit, so that what was found by the old parts is found by them still.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx
from onnx import compose

from sosie.engine.space import EmbeddingSpace, Part
from sosie.training.errors import RepositoryError
from sosie.training.graph import FLOAT, OPSET, GraphBuilder
from sosie.training.heads import Projection
from sosie.training.repository import GRAPH, Model
from sosie.training.space_encoders import SpaceEncoders
from sosie.training.triton_config import Tensor, derive_config

RECIPE = 1
"""Raise it when the same heads give other vectors than before."""


@dataclass(frozen=True)
class Graft:
    """A new part `name`, made of the part `source` by a head for pictures and, if they fill it, one for sentences."""

    name: str
    source: str
    image: Projection
    text: Projection | None = None


def grow_space(
    space: EmbeddingSpace,
    graft: Graft,
    *,
    weights: Mapping[str, tuple[float, float]],
    figures: Mapping[str, float],
    label_scale: float | None = None,
) -> EmbeddingSpace:
    """The space with the part of a graft besides, in place of an older one of that name.

    `weights` are those (for a picture, for a sentence) that change. With `label_scale` labels are compared in the new
    part. `figures` come after the old ones.
    """
    digest = hashlib.sha256(f"{RECIPE} {space.name} {graft.name} {graft.source}".encode())
    for head in filter(None, (graft.image, graft.text)):
        digest.update(head.mean.tobytes() + head.matrix.tobytes())
    parts = [part for part in space.parts if part.name != graft.name]
    parts.append(Part(graft.name, graft.image.size))
    chosen = {part.name: weights.get(part.name, (part.image_weight, part.text_weight)) for part in parts}
    grown = replace(
        space,
        name=f"{space.name.rpartition('-')[0] or space.name}-{digest.hexdigest()[:12]}",
        parts=tuple(Part(part.name, part.size, *chosen[part.name]) for part in parts),
        figures={**space.figures, **figures},
    )
    if label_scale is None:
        return grown
    return replace(grown, label_part=graft.name, label_scale=label_scale, label_prompt="{}")


def grow_models(encoders: SpaceEncoders, space: EmbeddingSpace, graft: Graft, prefix: str) -> tuple[Model, Model]:
    """The folders `prefix`_image and `prefix`_text of the grown space. Raises RepositoryError."""
    return (
        _grow(encoders, encoders.image, f"{prefix}_image", space=space, graft=graft, head=graft.image),
        _grow(encoders, encoders.text, f"{prefix}_text", space=space, graft=graft, head=graft.text),
    )


def graft_head(graph: bytes, source: str, name: str, head: Projection) -> bytes:
    """The graph with the output `name` besides: the head of its output `source`, brought to unit length.

    An older graft of that name is replaced. Raises RepositoryError where the graph has an output `name` of its own, or
    is of an older opset than heads are written in.
    """
    model = onnx.load_from_string(graph)
    opset = max((found.version for found in model.opset_import if found.domain in {"", "ai.onnx"}), default=0)
    if opset < OPSET:
        raise RepositoryError(f"the graph is of opset {opset}, a head needs {OPSET} or later: build the bundle again")
    _drop(model.graph, name)
    if name in {output.name for output in model.graph.output}:
        raise RepositoryError(f"the graph has an output {name!r} that no fitting made")
    builder = GraphBuilder("head")
    vectors = builder.input(source, FLOAT, ["n", head.matrix.shape[0]])
    builder.output(name, builder.unit(head.add(builder, "head", vectors)), ["n", head.size])
    grown = compose.add_prefix(builder.model(), f"{name}/", rename_inputs=False, rename_outputs=False).graph
    model.graph.node.extend(grown.node)
    model.graph.initializer.extend(grown.initializer)
    model.graph.output.extend(grown.output)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _drop(graph: onnx.GraphProto, name: str) -> None:
    """Takes an older graft out: all that is named below it, and its output."""
    if not any(node.name.startswith(f"{name}/") for node in graph.node):
        return
    nodes = [node for node in graph.node if not node.name.startswith(f"{name}/")]
    del graph.node[:]
    graph.node.extend(nodes)
    arrays = [array for array in graph.initializer if not array.name.startswith(f"{name}/")]
    del graph.initializer[:]
    graph.initializer.extend(arrays)
    outputs = [output for output in graph.output if output.name != name]
    del graph.output[:]
    graph.output.extend(outputs)


def _grow(
    encoders: SpaceEncoders, old: str, new: str, *, space: EmbeddingSpace, graft: Graft, head: Projection | None
) -> Model:
    folder = encoders.repository / old
    try:
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    except OSError as error:
        raise RepositoryError(f"cannot read {folder}: {error.strerror or error}") from error
    known = {part.name for part in encoders.space.parts}
    added = [Tensor(graft.name, "FP32", (graft.image.size,))] if head is not None and graft.name not in known else []
    for path, data in files.items():
        if path == GRAPH and head is not None:
            files[path] = graft_head(data, graft.source, graft.name, head)
        elif path.endswith(".pbtxt"):
            config = derive_config(data.decode(), name=new, parameters={"space": space.to_json()}, answers=added)
            files[path] = config.encode()
    return Model(new, files)
