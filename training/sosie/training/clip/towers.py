"""The towers of an open_clip model as networks with the inputs and outputs that the engine speaks of."""

from collections.abc import Sequence

import torch
from torch import nn

PIXEL = 255.0


class ImageTower(nn.Module):  # type: ignore[misc]  # torch is taken for untyped
    """Pictures uint8 [n, size, size, 3] -> unit vectors float32 [n, dim].

    `mean` and `std`, each of three, are those of colours 0..1 that the model was trained with. They are applied in
    float32; what follows has the precision of the model's weights.
    """

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.precision = _precision(model)
        self.mean = nn.Buffer(torch.tensor(mean).reshape(1, 3, 1, 1) * PIXEL, persistent=False)
        self.scale = nn.Buffer(1 / (torch.tensor(std).reshape(1, 3, 1, 1) * PIXEL), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The vectors of the pictures."""
        pixels = image.float().permute(0, 3, 1, 2)  # in this order: TensorRT takes uint8 only to cast it at once
        values = (pixels - self.mean) * self.scale
        return _unit(self.model.encode_image(values.to(self.precision)))


class TextTower(nn.Module):  # type: ignore[misc]  # as above
    """Tokens int64 [n, length] -> unit vectors float32 [n, dim]; the token `stripped` is read as 0."""

    def __init__(self, model: nn.Module, stripped: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.stripped = stripped

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The vectors of the sentences."""
        if self.stripped is not None:
            tokens = torch.where(tokens == self.stripped, 0, tokens)
        return _unit(self.model.encode_text(tokens))


def _precision(model: nn.Module) -> torch.dtype:
    return next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())


def _unit(features: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(features.float(), dim=-1)
