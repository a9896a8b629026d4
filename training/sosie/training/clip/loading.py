"""Makes open_clip's network from what `sources` found, with its weights and its tokenizer."""

import sosie.training.torchvision_on_cpu  # noqa: F401  # open_clip imports torchvision

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from open_clip.tokenizer import HFTokenizer

from sosie.engine.inference import ImageInput
from sosie.training.clip.sources import CONFIG, Origin
from sosie.training.errors import WeightsError
from sosie.training.networks import find_difference, read_weights

SEED = 0
"""Of random weights: the same on every machine."""
_COUNTED = "position_ids"  # buffers of older checkpoints that hold 0, 1, 2, ...


@dataclass(frozen=True)
class Loaded:
    """A network of open_clip's in evaluation mode, its tokenizer, and how it wants its pictures."""

    title: str
    network: Any
    tokenizer: Any
    image_input: ImageInput
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(origin: Origin) -> Loaded:
    """Makes the network. Raises WeightsError where the configuration makes none, or the weights are another's."""
    config = json.loads(json.dumps(origin.config))
    text = config["text_cfg"]
    text["hf_model_pretrained"] = False  # the weights are those of the whole model
    if origin.text_files is not None and text.get("hf_model_name"):
        text["hf_model_name"] = str(origin.text_files.resolve())
    with tempfile.TemporaryDirectory(prefix="sosie-clip-") as folder, _quiet(), torch.random.fork_rng():
        (Path(folder) / CONFIG).write_text(json.dumps({"model_cfg": config, "preprocess_cfg": dict(origin.preprocess)}))
        torch.manual_seed(SEED)
        name = f"local-dir:{folder}"
        try:
            network = open_clip.create_model(name, load_weights=False, pretrained_text=False).eval()
            tokenizer = _open_tokenizer(name, origin, text)
        except Exception as error:  # open_clip, timm and transformers raise what they like
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise WeightsError(f"open_clip makes no model of the configuration of {origin.title}: {said}") from error
    if origin.weights is not None:
        _fill(network, origin.weights, origin.title)
    preprocess = network.visual.preprocess_cfg
    return Loaded(
        origin.title,
        network,
        tokenizer,
        ImageInput(_side(preprocess["size"], origin.title), preprocess["resize_mode"]),
        tuple(preprocess["mean"]),
        tuple(preprocess["std"]),
    )


def _open_tokenizer(name: str, origin: Origin, text: Mapping[str, Any]) -> Any:
    if origin.text_files is None:
        return open_clip.get_tokenizer(name)
    return HFTokenizer(
        str(origin.text_files),
        context_length=text.get("context_length", 77),
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )


def _fill(network: torch.nn.Module, path: Path, title: str) -> None:
    """Loads a checkpoint, brought to open_clip's present names first; positions are never stretched to fit."""
    tensors: dict[str, torch.Tensor] = convert_state_dict(network, read_weights(path))
    if "positional_embedding" in tensors and not hasattr(network, "positional_embedding"):
        tensors = convert_to_custom_text_state_dict(tensors)
    expected = network.state_dict()
    for name in ("logit_scale", "logit_bias"):
        if name in tensors and name in expected and tensors[name].numel() == expected[name].numel():
            tensors[name] = tensors[name].reshape(expected[name].shape)
    tensors = {name: tensor for name, tensor in tensors.items() if name in expected or not name.endswith(_COUNTED)}
    problem = find_difference(*({name: tuple(t.shape) for name, t in each.items()} for each in (expected, tensors)))
    if problem:
        raise WeightsError(f"{path} holds no weights of {title}: {problem}")
    network.load_state_dict(tensors, strict=False)  # what may be missing was looked at: counters alone


def _side(size: Any, title: str) -> int:
    sides = set(size) if isinstance(size, (tuple, list)) else {size}
    if len(sides) != 1:
        raise WeightsError(f"{title} wants pictures of {size} pixels: only square ones are served")
    return int(sides.pop())


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns that weights are random: they are about to be filled, or are meant to be."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
