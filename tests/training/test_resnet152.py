"""The classifier resnet152: whose weights it takes, and what is refused."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sosie.engine.inference import ImageInput
from sosie.local.ports import HOST, find_ports
from sosie.training import command, networks
from sosie.training.errors import VerificationError, WeightsError
from sosie.training.exporting import EXAMPLES, export_network, verify_graph
from sosie.training.repository import CONFIG, GRAPH, Model, write_models
from sosie.training.resnet152 import ARCHITECTURE, Classifier, count_classes, create_random
from sosie.training.served import resnet152 as served
from sosie.training.served import write_configs
from sosie.training.triton_config import describe_classifier


def build(*arguments: object) -> int:
    """Runs `sosie models build resnet152` with these arguments."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["build", "resnet152", *map(str, arguments)]))


def save(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """A checkpoint in the form that its name says."""
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save({"state_dict": tensors, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_a_file(tmp_path: Path, suffix: str) -> None:
    """Both kinds of checkpoint give back the tensors, and a network with them computes the same."""
    network = networks.create_network("resnet18", num_classes=7)
    path = save(tmp_path / f"weights{suffix}", network.state_dict())

    tensors = networks.read_weights(path)
    again = networks.create_network("resnet18", tensors, source=path, num_classes=count_classes(tensors, path))

    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(again(picture), network(picture))


def test_counters_may_be_missing() -> None:
    """Checkpoints of before batch normalisation counted are taken: nothing is computed from the counters."""
    tensors = networks.create_network("resnet18").state_dict()
    networks.create_network("resnet18", {name: tensor for name, tensor in tensors.items() if "num_batches" not in name})


@pytest.mark.parametrize("architecture", ["resnet50", "resnet18", "mobilenetv3_small_050"])
def test_another_architecture(tmp_path: Path, architecture: str) -> None:
    """A checkpoint of another network is refused in one line, by name where it is a ResNet's."""
    path = save(tmp_path / "other.safetensors", networks.create_network(architecture).state_dict())

    with pytest.raises(
        SystemExit, match=r"^sosie models build: .*other\.safetensors holds no weights of resnet152"
    ) as caught:
        build("--weights", path, "--repository", tmp_path / "models")
    assert "\n" not in str(caught.value)
    assert (f"but of {architecture}:" in str(caught.value)) == architecture.startswith("resnet")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no file"), (b"no weights", "cannot be read as weights")]
)
def test_no_weights(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A file that is missing or holds something else is named in one line."""
    path = tmp_path / "file.pth"
    if content:
        path.write_bytes(content)

    with pytest.raises(SystemExit, match=said) as caught:
        build("--weights", path, "--repository", tmp_path / "models")
    assert "\n" not in str(caught.value)


def test_nothing_is_run(tmp_path: Path) -> None:
    """A checkpoint whose pickle would run code is refused, not run."""

    class Mischief:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "run",)

    torch.save({"fc.weight": Mischief()}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth cannot be read as weights"):
        networks.read_weights(tmp_path / "bad.pth")
    assert not (tmp_path / "run").exists()


def test_another_head(tmp_path: Path) -> None:
    """Where a file's classes are not ImageNet's, their labels are asked for, as many as there are."""
    path = save(tmp_path / "brands.safetensors", {"fc.weight": torch.zeros(3, 2048), "fc.bias": torch.zeros(3)})
    labels = tmp_path / "brands.txt"
    labels.write_text("Ada\nBea\n")

    with pytest.raises(SystemExit, match=r"tells 3 classes apart, ImageNet's list has 1000 labels.*--labels FILE"):
        build("--weights", path, "--repository", tmp_path / "models")
    with pytest.raises(SystemExit, match=r"tells 3 classes apart, .*brands\.txt has 2 labels"):
        build("--weights", path, "--labels", labels, "--repository", tmp_path / "models")


@pytest.mark.parametrize(
    ("text", "said"), [("a\n\nb\n", "line 2 .* is empty"), ("a\na\n", "repeats 'a'"), ("", "no labels")]
)
def test_bad_labels(tmp_path: Path, text: str, said: str) -> None:
    """Labels that are empty, repeated or missing are refused by their line, before any work."""
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(SystemExit, match=said):
        build("--random", "--labels", tmp_path / "labels.txt", "--repository", tmp_path / "models")


def test_label_set_is_taken(tmp_path: Path) -> None:
    """Where the repository has a classifier of these labels already, that is said before any work."""
    parameters = describe_classifier("imagenet", ["cat"], ImageInput(8))
    write_models(tmp_path, [Model("mini_classifier", {GRAPH: b"", **write_configs(served(1), parameters)})])

    with pytest.raises(SystemExit, match=r"mini_classifier serves the label set imagenet already.*--label-set"):
        build("--random", "--repository", tmp_path)


def test_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that cannot be reached ends in one line within the limit, with the file to fetch and how to give it."""
    monkeypatch.setenv("HF_ENDPOINT", f"http://{HOST}:{find_ports(hub=0)['hub']}")
    monkeypatch.setenv("HF_HOME", str(tmp_path))

    with pytest.raises(WeightsError, match=r"resnet152\.a1h_in1k.*it does not answer; .*--weights FILE") as caught:
        networks.fetch_weights(ARCHITECTURE, "a1h_in1k", limit=60)
    assert "model.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_random_weights() -> None:
    """Random weights tell pictures apart and stay in bounds: probabilities are neither flat nor all on one class."""
    classifier = Classifier(create_random(10)).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    pictures[1] //= 4

    with torch.inference_mode():
        probabilities, logits, features = classifier(torch.from_numpy(pictures))

    assert (probabilities.shape, logits.shape, features.shape) == ((2, 10), (2, 10), (2, 2048))
    assert 0.1 < float(probabilities.max()) < 0.99
    assert not torch.allclose(features[0], features[1], rtol=0.01)


@pytest.mark.slow
def test_export() -> None:
    """A network becomes a graph with a free batch that computes the same; another network's graph is refused."""

    class Tiny(torch.nn.Module):  # type: ignore[misc]  # torch comes as untyped, see pyproject.toml
        def __init__(self, seed: int) -> None:
            super().__init__()
            torch.manual_seed(seed)
            self.matrix = torch.nn.Linear(12, 4)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.matrix(image.float().flatten(1))
            return torch.softmax(logits, -1), logits

    outputs = ("probabilities", "logits")
    example = torch.zeros((EXAMPLES, 2, 2, 3), dtype=torch.uint8)
    graph = export_network(Tiny(0), example, input_name="image", outputs=outputs)
    data = graph.SerializeToString()
    batch = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 3)).astype(np.uint8)

    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 18)]
    assert graph.ir_version <= 10
    assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)
    found = verify_graph(data, Tiny(0), batch, name="tiny", input_name="image", outputs=outputs)
    assert min(found.values()) > 0.99999
    with pytest.raises(VerificationError, match=r"^tiny: the graph's output"):
        verify_graph(data, Tiny(1), batch, name="tiny", input_name="image", outputs=outputs)


def test_list_shows_what_is_not_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`models list` names the folders that have a config and no weights."""
    for path, config in write_configs(served()).items():
        (tmp_path / "resnet152" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "resnet152" / path).write_bytes(config)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)

    assert command.run(parser.parse_args(["list", "--repository", str(tmp_path)])) == 0
    shown = capsys.readouterr().out
    assert "resnet152" in shown
    assert "not built" in shown
    assert CONFIG not in shown
