"""The towers in 8-bit integers, for processors; the part `colour` stays in float32."""

import dataclasses
from collections.abc import Callable

import numpy as np
import onnx

from sosie.training.clip.bundle import Tower, Towers
from sosie.training.precision import Calibration, judge
from sosie.training.quantisation import Cosines, compare, quantise_dynamic, quantise_static

Figures = dict[str, float]


def quantise_towers(
    towers: Towers, calibration: Calibration, *, force: bool, tell: Callable[[str], None]
) -> tuple[Towers, Figures]:
    """The towers in integers, and their cosines to those of float32, as the space's figures.

    Pictures are judged by the calibration's own, sentences by those that the towers were compared with torch on.
    Raises PrecisionError where a part is too far off, unless `force` is set.
    """
    if static := is_convolutional(towers.image.graph):
        tell(f"quantising the image tower with the scales of {len(calibration.calibrating)} pictures")
        image = quantise_static(towers.image.graph, calibration.calibrating)
    else:
        tell("quantising the image tower")
        image = quantise_dynamic(towers.image.graph)
    found = compare(towers.image.graph, image, {"image": calibration.judging})
    judge("image tower", found, force=force, tell=tell)
    figures = _name_figures("picture", found)
    tell("quantising the text tower")
    text = quantise_dynamic(towers.text.graph)
    found = compare(towers.text.graph, text, towers.text.feeds)
    judge("text tower", found, force=force, tell=tell)
    quantised = dataclasses.replace(
        towers,
        image=_with_graph(towers.image, image),
        text=_with_graph(towers.text, text),
        precision="int8",
        further=calibration.digest if static else "",
    )
    return quantised, figures | _name_figures("sentence", found)


def is_convolutional(graph: bytes) -> bool:
    """Whether most of a graph's weights are convolutions': what to quantise with scales found beforehand."""
    model = onnx.load_from_string(graph).graph
    sizes = {array.name: int(np.prod(array.dims)) for array in model.initializer}
    inside = {name for node in model.node if node.op_type == "Conv" for name in node.input}
    return 2 * sum(sizes[name] for name in inside & sizes.keys()) > sum(sizes.values())


def _with_graph(tower: Tower, graph: bytes) -> Tower:
    return dataclasses.replace(tower, graph=graph)


def _name_figures(what: str, found: dict[str, Cosines]) -> Figures:
    look = found["look"]
    return {f"int8_{what}_look_cosine_least": look.least, f"int8_{what}_look_cosine_mean": look.mean}
