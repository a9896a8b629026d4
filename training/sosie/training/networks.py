"""Networks of timm with weights from the hub, from a file, or drawn at random.

A checkpoint is read without running anything that it holds: .safetensors, or a .pth of tensors alone.
"""

import sosie.training.torchvision_on_cpu  # noqa: F401  # timm imports torchvision

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import load_state_dict

from sosie.training.errors import WeightsError
from sosie.training.hub import FETCH_TIMEOUT, fetch_file

HUB_FILE = "model.safetensors"

_RESNETS = {
    (2, 2, 2, 2, False): "resnet18",
    (3, 4, 6, 3, False): "resnet34",
    (3, 4, 6, 3, True): "resnet50",
    (3, 4, 23, 3, True): "resnet101",
    (3, 8, 36, 3, True): "resnet152",
}
"""By the number of blocks of their four stages, and whether a block has a third convolution."""
_COUNTER = ".num_batches_tracked"
"""What batch normalisation counts; older checkpoints are without, and nothing is computed from it."""


def fetch_weights(architecture: str, tag: str, *, limit: float = FETCH_TIMEOUT) -> Path:
    """The file of timm's weights `architecture.tag` from the hub. Raises WeightsError."""
    repository = f"timm/{architecture}.{tag}"
    instead = f"fetch {HUB_FILE} of {repository} on a machine that reaches the hub and give it with --weights FILE"
    return fetch_file(repository, HUB_FILE, instead=instead, limit=limit)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The named tensors of a checkpoint; averaged weights are preferred where both are there. Raises WeightsError."""
    if not path.is_file():
        raise WeightsError(f"there is no file {path}; --weights takes a .safetensors or .pth file")
    try:
        tensors = load_state_dict(str(path), weights_only=True)
        found = {str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
    except (
        Exception
    ) as error:  # torch, pickle, zipfile and safetensors have no common root for what a broken file raises
        said = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise WeightsError(
            f"{path} cannot be read as weights alone (.safetensors, or .pth of tensors): {said}"
        ) from error
    if not found:
        raise WeightsError(f"{path} holds no tensors; give the file with the network's weights")
    return found


def create_network(
    architecture: str, weights: Mapping[str, torch.Tensor] | None = None, *, source: Path | None = None, **options: Any
) -> torch.nn.Module:
    """The network in evaluation mode, with the given weights or random ones of torch's generator.

    `source` is named in errors; `options` go to timm.create_model, such as num_classes. Raises WeightsError where timm
    does not know the architecture or the weights are another's.
    """
    if not timm.is_model(architecture):
        raise WeightsError(f"timm {timm.__version__} knows no network {architecture!r}")
    network: torch.nn.Module = timm.create_model(architecture, pretrained=False, **options)
    if weights is not None:
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        problem = find_difference(expected, {name: tuple(tensor.shape) for name, tensor in weights.items()})
        if problem:
            guess = _guess_resnet(weights)
            family = f" but of {guess}" if guess and guess != architecture else ""
            raise WeightsError(f"{source or 'the checkpoint'} holds no weights of {architecture}{family}: {problem}")
        network.load_state_dict(dict(weights))
    return network.eval()


def find_difference(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str | None:
    """The first thing in which the tensors differ, None where they fit."""
    for name, shape in expected.items():
        if name not in found and not name.endswith(_COUNTER):
            return f"it lacks {name}"
        if found.get(name, shape) != shape:
            return f"its {name} is {list(found[name])}, not {list(shape)}"
    further = sorted(set(found) - set(expected))
    return f"it also holds {further[0]}" if further else None


def _guess_resnet(weights: Mapping[str, torch.Tensor]) -> str | None:
    """Which ResNet's weights these seem to be, None where they are none's."""
    blocks = [{name.split(".")[1] for name in weights if name.startswith(f"layer{stage}.")} for stage in range(1, 5)]
    one, two, three, four = (len(stage) for stage in blocks)
    return _RESNETS.get((one, two, three, four, "layer1.0.conv3.weight" in weights))
