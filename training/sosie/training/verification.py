"""Compares the graphs that were built with what their networks compute, without the networks.

`figures.json` holds, for a drawn picture and a sentence, the largest numbers of each output by their places, as torch
and numpy computed them once; `python -m sosie.training.reference` makes it anew. The tests compare the graphs with
the living networks on many more inputs.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

import numpy as np

from sosie.engine.inference import Pictures
from sosie.training.efficientnet import SIZE
from sosie.training.errors import VerificationError
from sosie.training.heads import Floats
from sosie.training.repository import CONFIG, GRAPH, TOKENIZER, Model
from sosie.training.sentences import run_sentences
from sosie.training.sessions import open_session
from sosie.training.triton_config import read_parameters

SENTENCE = "a handbag of red leather with a golden buckle"
KEPT = 12
"""Numbers kept of each output."""
TOLERANCE = 1e-3
"""How far a number may be from its figure; the graphs come within 1e-5 on every machine that was tried."""

Figures = Mapping[str, Mapping[str, float]]
"""By output: numbers by their places."""


def verify(models: Iterable[Model], *, without: Collection[str] = ()) -> None:
    """Runs each model and compares its outputs with the figures, but for those in `without`.

    Raises VerificationError at the first difference.
    """
    figures: Mapping[str, Figures] = json.loads(figures_file().read_text(encoding="utf-8"))
    for model in models:
        role = read_parameters(model.files[CONFIG].decode())["role"]
        outputs = run(model)
        for name, expected in figures[role].items():
            if name in without:
                continue
            for place, value in expected.items():
                found = float(outputs[name][int(place)])
                if not abs(found - value) <= TOLERANCE:  # NaN fails too
                    raise VerificationError(
                        f"{model.name}: number {place} of the output {name} is {found:.5f} where its network gives "
                        f"{value:.5f}; onnxruntime computes the graph wrongly here: try another version of it"
                    )


def run(model: Model) -> dict[str, Floats]:
    """The outputs of a model for the picture or the sentence, each [size]."""
    session = open_session(model.files[GRAPH])
    names = [output.name for output in session.get_outputs()]
    if TOKENIZER in model.files:
        return {name: run_sentences(session, model.files[TOKENIZER], [SENTENCE], output=name)[0] for name in names}
    return {name: values[0] for name, values in zip(names, session.run(names, {"image": draw_picture()}), strict=True)}


def draw_picture() -> Pictures:
    """A red disc with a blue bar on light grey, shaded; [1, 224, 224, 3]. Whole numbers, alike on every machine."""
    y, x = np.mgrid[:SIZE, :SIZE]
    picture = np.stack([215 + x // 16, 220 + y // 16, 214 + (x + y) // 32], axis=-1)
    disc = (x - 112) ** 2 + (y - 104) ** 2 < 70**2
    picture[disc] = np.stack([180 + y // 8, 30 + x // 8, 40 + y // 16], axis=-1)[disc]
    picture[126:154, 22:202] = (30, 60, 150)
    return picture.astype(np.uint8)[None]


def figures_file() -> Traversable:
    return files("sosie.training").joinpath("figures.json")
