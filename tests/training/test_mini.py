"""The bundle mini as Triton finds it: configs that describe the graphs, and a command that can be run again."""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tokenizers import Tokenizer
from tritonclient.grpc import model_config_pb2

from sosie.engine.inference import TextInput
from sosie.engine.space import EmbeddingSpace
from sosie.training import command, graph, mini, verification
from sosie.training.errors import VerificationError
from sosie.training.heads import ClassNames, Floats, Projection
from sosie.training.repository import CONFIG, GRAPH, TOKENIZER, Model

pytestmark = pytest.mark.slow

ROLES = ("image_encoder", "text_encoder", "classifier")


def parse_config(model: Model) -> model_config_pb2.ModelConfig:
    """The model's config as Triton reads it."""
    return text_format.Parse(model.files[CONFIG].decode(), model_config_pb2.ModelConfig())


def run_command(*arguments: str) -> int:
    """Runs `sosie models` with these arguments."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


@pytest.mark.parametrize("role", ROLES)
def test_config_describes_the_graph(models: dict[str, Model], role: str) -> None:
    """The config names the graph's input and outputs, with their types and sizes, and leaves the batch free."""
    config = parse_config(models[role])
    found = onnx.load_from_string(models[role].files[GRAPH]).graph

    for declared, actual in ((config.input, found.input), (config.output, found.output)):
        assert [tensor.name for tensor in declared] == [value.name for value in actual]
        for tensor, value in zip(declared, actual, strict=True):
            kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).replace("FLOAT", "FP32")
            assert model_config_pb2.DataType.Name(tensor.data_type) == f"TYPE_{kind}"
            batch, *sizes = value.type.tensor_type.shape.dim
            assert batch.dim_param
            assert list(tensor.dims) == [size.dim_value or -1 for size in sizes]
    assert config.name == models[role].name
    assert config.parameters["role"].string_value == role


@pytest.mark.parametrize("role", ROLES)
def test_graph_form(models: dict[str, Model], role: str) -> None:
    """Each graph is one file of opset 18 and standard operators, and passes onnx's full check."""
    model = onnx.load_from_string(models[role].files[GRAPH])

    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10
    assert not any(array.external_data for array in model.graph.initializer)
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)


def test_space(bundle: mini.Bundle, models: dict[str, Model]) -> None:
    """Both encoders describe the same space, whose parts are their outputs."""
    image, text = (parse_config(models[role]) for role in ROLES[:2])
    spaces = [EmbeddingSpace.from_json(config.parameters["space"].string_value) for config in (image, text)]
    sizes = {part.name: part.size for part in bundle.space.parts}

    assert spaces == [bundle.space, bundle.space]
    assert {output.name: output.dims[0] for config in (image, text) for output in config.output} == sizes
    assert bundle.space.name.startswith("mini-")
    assert len(bytes.fromhex(bundle.space.name.removeprefix("mini-"))) == 6


def test_space_changes_with_the_weights(bundle: mini.Bundle, sources: mini.Sources, class_names: Floats) -> None:
    """Another weight, or another tokenizer, makes another space."""
    kernel = sources.image["_conv_head.weight"].copy()
    kernel[0, 0] += 1
    weights = mini.Sources({**sources.image, "_conv_head.weight": kernel}, sources.text, sources.tokenizer)
    tokenizer = mini.Sources(sources.image, sources.text, sources.tokenizer + b"\n")

    spaces = [
        mini.assemble(
            changed,
            look=Projection.whiten(changed.image),
            image_meaning=ClassNames(changed.image, class_names),
        ).space.name
        for changed in (sources, weights, tokenizer)
    ]

    assert spaces[0] == bundle.space.name
    assert len(set(spaces)) == 3


def test_digest_leaves_computed_numbers_out() -> None:
    """What a machine computes counts by name and shape alone: its last bits are another machine's others."""

    def digest(values: list[float], *, computed: bool) -> str:
        builder = graph.GraphBuilder("test")
        builder.array("matrix", np.array(values), computed=computed)
        return builder.digest()

    assert digest([1.0, 2.0], computed=True) == digest([1.0, 2.5], computed=True)
    assert digest([1.0, 2.0], computed=True) != digest([1.0, 2.0, 3.0], computed=True)
    assert digest([1.0, 2.0], computed=False) != digest([1.0, 2.5], computed=False)


def test_tokenizer(models: dict[str, Model]) -> None:
    """The tokenizer lies beside the config, which gives its digest; of itself it neither pads nor cuts."""
    data = models["text_encoder"].files[TOKENIZER]
    accepted = json.loads(parse_config(models["text_encoder"]).parameters["input"].string_value)
    tokenizer = Tokenizer.from_str(data.decode())

    assert TextInput(**accepted) == TextInput(max_tokens=128, tokenizer_sha256=hashlib.sha256(data).hexdigest())
    assert (tokenizer.padding, tokenizer.truncation) == (None, None)
    assert tokenizer.encode("red shoes").ids == [101, 2417, 6007, 102]


def test_classifier_labels(models: dict[str, Model]) -> None:
    """The classifier describes its set and a label for each of its probabilities."""
    config = parse_config(models["classifier"])

    assert config.parameters["label_set"].string_value == "imagenet"
    assert len(json.loads(config.parameters["labels"].string_value)) == config.output[0].dims[0]


def test_verification_finds_a_wrong_graph(bundle: mini.Bundle, models: dict[str, Model]) -> None:
    """Graphs as built are accepted; one with a changed weight is refused by model and output."""
    verification.verify(bundle.models)
    broken = onnx.load_from_string(models["classifier"].files[GRAPH])
    (bias,) = (array for array in broken.graph.initializer if array.name == "_fc.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.roll(onnx.numpy_helper.to_array(bias), 1) * 9, bias.name))
    files = {**models["classifier"].files, GRAPH: broken.SerializeToString()}

    with pytest.raises(VerificationError, match=r"mini_classifier.*probabilities"):
        verification.verify([Model("mini_classifier", files)])


def test_build_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second build says that nothing has changed and writes nothing; `models list` shows what is there."""
    repository = tmp_path / "models"

    assert run_command("build", "mini", "--repository", str(repository)) == 0
    first = capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    assert run_command("build", "mini", "--repository", str(repository)) == 0
    second = capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before
    assert (first.count(": written"), second.count(": written"), second.count(": unchanged")) == (3, 0, 3)

    assert run_command("list", "--repository", str(repository)) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("mini_image", "mini_text", "mini_classifier", "look", "words"))
    assert first.splitlines()[-1].removeprefix("embedding space ") in listed


def test_errors_are_one_line(tmp_path: Path) -> None:
    """What the user can put right ends the command in one line with exit status 1."""
    with pytest.raises(SystemExit, match=r"^sosie models list: .*nowhere is no folder.*--repository$") as listing:
        run_command("list", "--repository", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match=r"^sosie models build: .*--weights"):
        run_command("build", "mini", "--weights", str(tmp_path), "--repository", str(tmp_path / "models"))

    assert "\n" not in str(listing.value)
    assert not (tmp_path / "models").exists()
