"""The classifier `resnet152`: He et al., "Deep Residual Learning" (2015), as timm and torchvision name its weights.

resnet152  image -> probabilities, logits [classes], features [2048] as pooled before the last matrix
"""

import sosie.training.torchvision_on_cpu  # noqa: F401  # timm imports torchvision

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from sosie.engine.inference import ImageInput, Pictures
from sosie.training.errors import WeightsError
from sosie.training.exporting import EXAMPLES, export_network, verify_graph
from sosie.training.networks import create_network
from sosie.training.repository import GRAPH, Model
from sosie.training.served import resnet152, write_configs
from sosie.training.triton_config import describe_classifier

ARCHITECTURE = "resnet152"
HEAD = "fc.weight"
IMAGE_INPUT = ImageInput(size=224, resize="shortest")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, by channel, on a scale of 0..1; all weights of timm and torchvision were trained so."""
RANDOM_GAIN = 0.2
"""What random weights scale each block's last step by: 50 blocks that each add their own would grow beyond bounds."""


class Classifier(torch.nn.Module):  # type: ignore[misc]  # torch comes as untyped, see pyproject.toml
    """The network behind its preparation: pictures uint8 [n, 224, 224, 3] -> probabilities, logits and features."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(DEVIATION).reshape(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        # A cast before all else: TensorRT takes bytes for an input and for nothing further inside.
        values = (image.float().permute(0, 3, 1, 2) - self.mean) / self.deviation
        features = self.network.forward_head(self.network.forward_features(values), pre_logits=True)
        logits = self.network.get_classifier()(features)
        return torch.softmax(logits, dim=-1), logits, features


def count_classes(weights: dict[str, torch.Tensor], source: Path) -> int:
    """How many classes the last matrix of a checkpoint tells apart. Raises WeightsError."""
    if HEAD not in weights or weights[HEAD].dim() != 2:  # noqa: PLR2004  # a matrix
        raise WeightsError(f"{source} holds no weights of {ARCHITECTURE}: it lacks the matrix {HEAD}")
    return len(weights[HEAD])


def create_random(classes: int, *, seed: int = 0) -> torch.nn.Module:
    """The network with random weights, for structure and speed."""
    torch.manual_seed(seed)
    network = create_network(ARCHITECTURE, num_classes=classes, zero_init_last=False)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if name.endswith("bn3.weight"):
                tensor.fill_(RANDOM_GAIN)
    return network


def build(
    network: torch.nn.Module,
    *,
    labels: Sequence[str],
    label_set: str,
    name: str = ARCHITECTURE,
    origin: str,
    tell: Callable[[str], None],
) -> Model:
    """The model's folder, its graph verified against the network. `origin` says whose weights these are.

    Raises VerificationError.
    """
    served = resnet152(len(labels), name=name, size=IMAGE_INPUT.size)
    outputs = [output.name for output in served.answers]
    classifier = Classifier(network).eval()
    tell("exporting the graph, which takes a minute or so")
    example = torch.zeros((EXAMPLES, IMAGE_INPUT.size, IMAGE_INPUT.size, 3), dtype=torch.uint8)
    graph = export_network(classifier, example, input_name=served.accepts.name, outputs=outputs).SerializeToString()
    tell("comparing it with the network")
    found = verify_graph(
        graph, classifier, _draw_pictures(), name=name, input_name=served.accepts.name, outputs=outputs
    )
    tell("least cosines: " + ", ".join(f"{output} {cosine:.6f}" for output, cosine in found.items()))
    parameters = describe_classifier(label_set, labels, IMAGE_INPUT, {"weights": origin})
    return Model(name, {GRAPH: graph, **write_configs(served, parameters)})


def _draw_pictures() -> Pictures:
    """Noise over gradients, three pictures: more than one, and not as many as were traced."""
    rng = np.random.default_rng(0)
    slopes = np.linspace(0, 200, IMAGE_INPUT.size)[None, :, None, None]
    noise = rng.integers(0, 56, (EXAMPLES + 1, IMAGE_INPUT.size, IMAGE_INPUT.size, 3))
    return (slopes + noise).astype(np.uint8)
