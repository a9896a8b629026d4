"""The bundle `clip`: an open_clip model's towers as two encoders of one space.

clip_image takes an image and gives look and colour, clip_text takes tokens and gives look and words.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sosie.engine.space import EmbeddingSpace, Part
from sosie.training import colour, parts
from sosie.training.clip.export import add_colour, export_tower
from sosie.training.clip.loading import Loaded
from sosie.training.clip.sentences import SENTENCES
from sosie.training.clip.tokenizer import TokenizerFile, check_tokenizer, export_tokenizer
from sosie.training.clip.towers import ImageTower, TextTower
from sosie.training.clip.verification import draw_pictures, run_graph, try_graph, verify_parts
from sosie.training.errors import WeightsError
from sosie.training.exporting import EXAMPLES
from sosie.training.heads import Floats
from sosie.training.mini import Bundle
from sosie.training.repository import GRAPH, TOKENIZER, Model
from sosie.training.served import clip_image, clip_text, write_configs
from sosie.training.triton_config import describe_encoder

RECIPE = 1
"""Raise it when the same weights give other vectors than before."""
WEIGHTS: Mapping[str, tuple[float, float]] = {"look": (1.0, 1.0), "colour": (0.25, 0.0), "words": (0.0, 0.4)}
"""Each part's default weight, where a picture fills it and where a sentence does. Guesses: docs/clip.md tells why."""
LABEL_PROMPT = "a photo of a {}"
FILE_LIMIT = 2**31 - 2**20
"""Bytes in one ONNX file, which is one message of protocol buffers, less what the nodes take."""

Arrays = Mapping[str, npt.NDArray[np.generic]]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Tower:
    """A tower as it is to be: its graph, an input [n, ...] by name, and the parts [n, size] that torch makes of it."""

    graph: bytes
    feeds: Arrays
    expected: Mapping[str, Floats]


@dataclass(frozen=True)
class Towers:
    """Both towers of a loaded model, with the tokenizer's file."""

    loaded: Loaded
    image: Tower
    text: Tower
    tokenizer: TokenizerFile
    precision: str
    further: str = ""
    """What else the vectors depend on, such as the pictures that a quantisation was calibrated with."""


def export_towers(loaded: Loaded, *, half: bool, tell: Tell) -> Towers:
    """Exports both towers and compares them with torch.

    With `half` the network becomes one of half precision on the way. Raises WeightsError where a tower does not fit
    into a file, and VerificationError where what was made differs.
    """
    _check_sizes(loaded.network, half=half)
    tell("writing the tokenizer, comparing it with open_clip's")
    tokenizer = export_tokenizer(loaded.tokenizer)
    check_tokenizer(loaded.tokenizer, tokenizer)
    pictures = draw_pictures(loaded.image_input.size)
    tokens: npt.NDArray[np.int64] = loaded.tokenizer(list(SENTENCES)).numpy()
    look = _run(_image_tower(loaded), pictures)
    said = _run(TextTower(loaded.network, tokenizer.stripped), tokens)
    if half:
        loaded.network.half()
    tell("exporting the image tower")
    graph = _export(_image_tower(loaded), pictures, "image", ("look",))
    expected = {"look": look, "colour": parts.colour(pictures)}
    image = Tower(add_colour(graph, loaded.image_input.size), {"image": pictures}, expected)
    tell("exporting the text tower")
    graph = _export(TextTower(loaded.network, tokenizer.stripped), tokens, "tokens", ("look", "words"))
    text = Tower(graph, {"tokens": tokens}, {"look": said, "words": said})
    for name, tower in (("image", image), ("text", text)):
        _verify(f"the {name} tower", tower, tell, half=half)
    return Towers(loaded, image, text, tokenizer, "fp16" if half else "fp32")


def assemble(towers: Towers, *, prefix: str, figures: Mapping[str, float] | None = None) -> Bundle:
    """The model folders `prefix`_image and `prefix`_text, and the space that they speak."""
    loaded = towers.loaded
    dim = towers.text.expected["look"].shape[1]
    sizes = {"look": dim, "colour": colour.SIZE, "words": dim}
    space = EmbeddingSpace(
        name=f"clip-{_digest(towers)[:12]}",
        parts=tuple(Part(name, size, *WEIGHTS[name]) for name, size in sizes.items()),
        label_part="look",
        label_scale=math.exp(float(loaded.network.logit_scale.float().detach())),
        label_prompt=LABEL_PROMPT,
        figures=figures or {},
    )
    accepted, text_input = loaded.image_input, towers.tokenizer.text_input
    image = clip_image(dim, colour.SIZE, name=f"{prefix}_image", size=accepted.size)
    text = clip_text(dim, dim, name=f"{prefix}_text", length=text_input.pad_to)
    image_configs = write_configs(image, describe_encoder("image_encoder", space, accepted))
    text_configs = write_configs(text, describe_encoder("text_encoder", space, text_input))
    models = (
        Model(image.name, {GRAPH: towers.image.graph, **image_configs}),
        Model(text.name, {GRAPH: towers.text.graph, TOKENIZER: towers.tokenizer.data, **text_configs}),
    )
    return Bundle(space, models)


def _image_tower(loaded: Loaded) -> ImageTower:
    return ImageTower(loaded.network, loaded.mean, loaded.std)


def _export(tower: torch.nn.Module, batch: npt.NDArray[Any], name: str, made: tuple[str, ...]) -> bytes:
    return export_tower(tower, torch.from_numpy(batch[:EXAMPLES]), input_name=name, parts=made)


def _run(tower: torch.nn.Module, batch: npt.NDArray[Any]) -> Floats:
    with torch.inference_mode():
        vectors: Floats = tower.eval()(torch.from_numpy(batch)).numpy()
    return vectors


def _verify(name: str, tower: Tower, tell: Tell, *, half: bool) -> None:
    tell(f"comparing {name} with torch")
    found = try_graph(tower.graph, tower.feeds) if half else run_graph(tower.graph, tower.feeds)
    if found is None:
        tell(f"{name}: onnxruntime cannot run half precision on this processor, so that nothing was compared")
    else:
        verify_parts(name, tower.expected, found, half=half)


def _check_sizes(network: torch.nn.Module, *, half: bool) -> None:
    width = 2 if half else 4  # bytes
    image = sum(parameter.numel() for parameter in network.visual.parameters())
    text = sum(parameter.numel() for parameter in network.parameters()) - image
    for name, count in (("image", image), ("text", text)):
        if count * width > FILE_LIMIT:
            smaller = "; --precision fp16 halves that" if not half and count * 2 <= FILE_LIMIT else ""
            raise WeightsError(
                f"the {name} tower has {count * width / 2**30:.1f} GiB of weights, one ONNX file holds 2{smaller}"
            )


def _digest(towers: Towers) -> str:
    """Over all that the vectors depend on, taken before the export: the same on every machine."""
    loaded = towers.loaded
    made_by = (
        f"{RECIPE} {towers.precision} {towers.further} {loaded.image_input} {loaded.mean} {loaded.std} "
        f"{towers.tokenizer.text_input} {towers.tokenizer.stripped}"
    )
    digest = hashlib.sha256(made_by.encode())
    for name, tensor in sorted(loaded.network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
