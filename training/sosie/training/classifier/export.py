"""Makes a trained network into the classifier that Triton serves, and holds it to what the network computes."""

import torch

from sosie.engine.inference import Pictures
from sosie.training import efficientnet
from sosie.training.classifier.backbones import Backbone, Classifier
from sosie.training.classifier.lite0 import Lite0
from sosie.training.exporting import EXAMPLES, export_network, verify_graph
from sosie.training.graph import GraphBuilder
from sosie.training.mini import add_picture
from sosie.training.repository import GRAPH, Model
from sosie.training.served import ServedModel, write_configs
from sosie.training.triton_config import Tensor, describe_classifier

OUTPUT = "probabilities"
GPU_MEMORY = 4 << 30


class Calibrated(torch.nn.Module):  # type: ignore[misc]  # torch is taken for untyped
    """pictures uint8 [n, size, size, 3] -> probabilities [n, labels], in a tuple of one."""

    def __init__(self, classifier: Classifier, temperature: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.temperature = temperature

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.softmax(self.classifier(image) / self.temperature, dim=-1),)


def name_model(label_set: str) -> str:
    """The folder of the classifier of a label set."""
    return f"{label_set}_classifier"


def make_model(
    classifier: Classifier,
    backbone: Backbone,
    *,
    label_set: str,
    labels: tuple[str, ...],
    temperature: float,
    examples: Pictures,
) -> tuple[Model, float]:
    """The model's folder, and the least cosine between the graph's and the network's probabilities of `examples`.

    Raises VerificationError where they differ.
    """
    name = name_model(label_set)
    size = backbone.image_input.size
    network = Calibrated(classifier.cpu().eval(), temperature)
    if isinstance(classifier.network, Lite0):
        graph = _build_lite0(classifier, classifier.network, temperature)
    else:
        example = torch.zeros((EXAMPLES, size, size, 3), dtype=torch.uint8)
        exported = export_network(network, example, input_name="image", outputs=[OUTPUT])
        graph = exported.SerializeToString()
    found = verify_graph(graph, network, examples, name=name, input_name="image", outputs=[OUTPUT])
    served = ServedModel(
        name,
        Tensor("image", "UINT8", (size, size, 3)),
        (Tensor(OUTPUT, "FP32", (len(labels),)),),
        gpu_memory=GPU_MEMORY,
    )
    parameters = describe_classifier(label_set, labels, backbone.image_input, {"weights": f"{backbone.name}, trained"})
    return Model(name, {GRAPH: graph, **write_configs(served, parameters)}), found[OUTPUT]


def _build_lite0(classifier: Classifier, network: Lite0, temperature: float) -> bytes:
    """By the house's own builder: the bundle's graph with other weights."""
    graph = GraphBuilder("classifier")
    features = efficientnet.add_tower(graph, network.to_arrays(), add_picture(graph))
    matrix, bias = (values.detach().numpy() / temperature for values in (classifier.head.weight, classifier.head.bias))
    logits = graph.linear("head", features, matrix.T, bias)
    graph.output(OUTPUT, graph.node("Softmax", logits, axis=-1), ["n", len(bias)])
    data: bytes = graph.model().SerializeToString()
    return data
