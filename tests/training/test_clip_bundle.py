"""The bundle clip as Triton finds it: graphs that compute what open_clip does, and configs that describe them."""

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tritonclient.grpc import model_config_pb2

from sosie.engine.inference import ImageInput, TextInput
from sosie.engine.space import EmbeddingSpace
from sosie.engine.text import Tokenizer
from sosie.training import command, parts
from sosie.training.clip.bundle import Towers, assemble, export_towers
from sosie.training.clip.integers import is_convolutional, quantise_towers
from sosie.training.clip.loading import Loaded, load
from sosie.training.clip.sources import Wanted, find_origin
from sosie.training.clip.towers import ImageTower
from sosie.training.clip.verification import draw_pictures, run_graph, try_graph, verify_parts
from sosie.training.errors import PrecisionError, VerificationError, WeightsError
from sosie.training.mini import Bundle
from sosie.training.precision import read_calibration
from sosie.training.repository import CONFIG, GRAPH, TOKENIZER, Model
from sosie.training.vectors import unit
from tiny_clip import DIM, SIZE, write_clip, write_multilingual, write_siglip


def silent(_message: str) -> None:
    """Hears what is told."""


def load_random(wanted: Wanted) -> Loaded:
    return load(find_origin(replace(wanted, random=True), silent))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def towers(folder: Path) -> Towers:
    """A tiny CLIP, exported and compared with torch."""
    return export_towers(load_random(Wanted(folder=folder)), half=False, tell=silent)


@pytest.fixture(scope="module")
def bundle(towers: Towers) -> Bundle:
    return assemble(towers, prefix="clip")


def parse_config(model: Model, name: str = CONFIG) -> model_config_pb2.ModelConfig:
    """The model's config as Triton reads it."""
    return text_format.Parse(model.files[name].decode(), model_config_pb2.ModelConfig())


def test_graph_form(bundle: Bundle) -> None:
    """Each graph is one file of opset 18 and standard operators, with a free batch, and tells nothing of its maker."""
    for model in bundle.models:
        graph = onnx.load_from_string(model.files[GRAPH])
        assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 18)]
        assert graph.ir_version <= 10
        assert not any(array.external_data for array in graph.graph.initializer)
        assert all(value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.graph.input, *graph.graph.output))
        onnx.checker.check_model(graph, full_check=True)
        assert b"/clip/" not in model.files[GRAPH].replace(b"colour/", b"")


def test_configs_describe_the_graphs(bundle: Bundle) -> None:
    """Every config names the graph's input and outputs with their types and sizes, and describes the space."""
    for model, role in zip(bundle.models, ("image_encoder", "text_encoder"), strict=True):
        graph = onnx.load_from_string(model.files[GRAPH]).graph
        for file in (name for name in model.files if name.endswith(".pbtxt")):
            config = parse_config(model, file)
            for declared, actual in ((config.input, graph.input), (config.output, graph.output)):
                assert [tensor.name for tensor in declared] == [value.name for value in actual]
                for tensor, value in zip(declared, actual, strict=True):
                    assert list(tensor.dims) == [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]]
            assert config.name == model.name
            assert config.parameters["role"].string_value == role
            assert EmbeddingSpace.from_json(config.parameters["space"].string_value) == bundle.space


def test_space(bundle: Bundle, towers: Towers) -> None:
    """The space has look, colour and words; pictures and sentences meet in look, at the model's own temperature."""
    assert {part.name: part.size for part in bundle.space.parts} == {"look": DIM, "colour": 131, "words": DIM}
    assert bundle.space.label_part == "look"
    assert bundle.space.label_scale == pytest.approx(float(towers.loaded.network.logit_scale.detach().exp()))
    assert len(bytes.fromhex(bundle.space.name.removeprefix("clip-"))) == 6


def test_inputs_are_described(bundle: Bundle) -> None:
    """Pictures' size and resizing, sentences' length, cleaning and tokenizer are in the self-description."""
    image, text = (json.loads(parse_config(model).parameters["input"].string_value) for model in bundle.models)
    data = bundle.models[1].files[TOKENIZER]

    assert ImageInput(**image) == ImageInput(SIZE, "squash")
    digest = hashlib.sha256(data).hexdigest()
    assert TextInput(**text) == TextInput(77, digest, pad_to=77, cleaning="lower")
    assert Tokenizer(data, TextInput(**text)).encode(["A red boot"]).shape == (1, 77)


def test_parts_are_unit_vectors(towers: Towers) -> None:
    """All parts have length 1, for one input and for several; the colour part is the reference's."""
    pictures = draw_pictures(SIZE)
    found = run_graph(towers.image.graph, {"image": pictures})
    alone = run_graph(towers.image.graph, {"image": pictures[:1]})
    said = run_graph(towers.text.graph, towers.text.feeds)

    for values in (*found.values(), *alone.values(), *said.values()):
        assert np.linalg.norm(values, axis=1) == pytest.approx(1, abs=1e-5)
    assert alone["look"] == pytest.approx(found["look"][:1], abs=1e-5)
    assert found["colour"] == pytest.approx(parts.colour(pictures), abs=1e-4)
    np.testing.assert_array_equal(said["look"], said["words"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found | {"look": np.roll(found["look"], 1, axis=1)},
        lambda found: found | {"look": np.repeat(found["look"].mean(0, keepdims=True), len(found["look"]), axis=0)},
        lambda found: found | {"look": found["look"] * np.nan},
        lambda found: found | {"colour": np.roll(found["colour"], 1, axis=1)},
    ],
    ids=["mixed up", "the same for all", "no number", "another colour"],
)
def test_wrong_vectors_are_noticed(towers: Towers, spoil: Callable[..., dict[str, parts.Floats]]) -> None:
    """Vectors that differ from torch's fail the comparison, also where those of all inputs are much alike."""
    expected = {**towers.image.expected}
    expected["look"] = unit(expected["look"] * 0.01 + 1)

    verify_parts("clip", expected, dict(expected))
    with pytest.raises(VerificationError, match="clip: a vector of the part"):
        verify_parts("clip", expected, spoil(dict(expected)))


def test_another_mean_is_noticed(towers: Towers) -> None:
    """A graph that normalises its pictures otherwise than the model was trained is no match."""
    loaded = towers.loaded
    pictures = draw_pictures(SIZE)
    with torch.inference_mode():
        other = ImageTower(loaded.network, (0.4, 0.4, 0.4), loaded.std)(torch.from_numpy(pictures)).numpy()

    with pytest.raises(VerificationError):
        verify_parts("clip", towers.image.expected, {"look": other, "colour": parts.colour(pictures)})


def test_space_changes_with_what_it_is_made_of(towers: Towers) -> None:
    """Other weights, precision, mean or tokenizer make another space; another name for the folders does not."""

    def name(changed: Towers, prefix: str = "clip") -> str:
        return assemble(changed, prefix=prefix).space.name

    weights = load_random(Wanted(folder=Path(towers.loaded.title)))
    with torch.no_grad():
        weights.network.visual.proj[0, 0] += 1
    text_input = replace(towers.tokenizer.text_input, cleaning="whitespace")
    others = [
        replace(towers, loaded=weights),
        replace(towers, precision="int8"),
        replace(towers, loaded=replace(towers.loaded, mean=(0.4, 0.5, 0.5))),
        replace(towers, tokenizer=replace(towers.tokenizer, text_input=text_input)),
    ]

    assert len({name(changed) for changed in (towers, *others)}) == 5
    assert name(towers, "other") == name(towers)


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_multilingual, write_siglip])
def test_multilingual_models(write: Callable[[Path], Path], tmp_path: Path) -> None:
    """XLM-RoBERTa and SigLIP2 text towers from a folder become a bundle that computes what torch does."""
    made = export_towers(load_random(Wanted(folder=write(tmp_path))), half=False, tell=silent)
    bundle = assemble(made, prefix="clip")
    text_input = made.tokenizer.text_input
    sentences = ["красная кожаная сумка", "a red leather bag", ""]

    tokens = Tokenizer(bundle.models[1].files[TOKENIZER], text_input).encode(sentences)
    found = run_graph(bundle.models[1].files[GRAPH], {"tokens": tokens})["look"]
    with torch.inference_mode():
        own = made.loaded.network.encode_text(made.loaded.tokenizer(sentences), normalize=True).numpy()

    assert found == pytest.approx(own, abs=1e-4)


@pytest.mark.slow
def test_half_precision(folder: Path, towers: Towers) -> None:
    """Towers of half precision take and give what those of float32 do; the colour part stays as exact as it is."""
    told: list[str] = []
    half = export_towers(load_random(Wanted(folder=folder)), half=True, tell=told.append)
    bundle = assemble(half, prefix="clip")

    for tower, whole in ((half.image, towers.image), (half.text, towers.text)):
        graph, other = (onnx.load_from_string(each.graph).graph for each in (tower, whole))
        assert [(list(graph.input), list(graph.output))] == [(list(other.input), list(other.output))]
        assert len(tower.graph) < 0.7 * len(whole.graph)
    found = try_graph(half.image.graph, half.image.feeds)
    assert found is None or found["colour"] == pytest.approx(towers.image.expected["colour"], abs=1e-4)
    assert (found is None) == any("nothing was compared" in line for line in told)
    assert bundle.space.name != assemble(towers, prefix="clip").space.name


def test_large_towers_are_refused(towers: Towers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tower that does not fit into one file is refused before it is exported, with what would help."""
    monkeypatch.setattr("sosie.training.clip.bundle.FILE_LIMIT", 4_000_000)

    with pytest.raises(WeightsError, match=r"the text tower has .*--precision fp16"):
        export_towers(towers.loaded, half=False, tell=silent)


def test_convolutional_towers(towers: Towers) -> None:
    """A vision transformer is no convolutional network, whatever cuts its pictures into patches."""
    assert not is_convolutional(towers.image.graph)


def run_command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


@pytest.mark.slow
def test_build(folder: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes the very files that another export gave; `models list` shows folders and space."""
    repository = ("--repository", str(tmp_path))

    assert run_command("build", "clip", "--model-folder", str(folder), "--random", *repository) == 0
    for model in bundle.models:
        for name, data in model.files.items():
            assert (tmp_path / model.name / name).read_bytes() == data
    assert capsys.readouterr().out.splitlines()[-1] == f"embedding space {bundle.space.name}"
    assert run_command("list", *repository) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("clip_image", "clip_text", "look", "colour", "words", bundle.space.name))


@pytest.mark.slow
def test_integers(towers: Towers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 8 bits the towers are smaller and near what they were, colour is exact; what is too far off is refused."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, picture in enumerate(np.concatenate([draw_pictures(SIZE)] * 3)):
        Image.fromarray(picture).save(pictures / f"{number}.png")
    calibration = read_calibration(pictures, towers.loaded.image_input, print)
    told: list[str] = []

    made, figures = quantise_towers(towers, calibration, force=True, tell=told.append)

    assert len(made.image.graph) < 0.7 * len(towers.image.graph)
    assert run_graph(made.image.graph, towers.image.feeds)["colour"] == pytest.approx(
        towers.image.expected["colour"], abs=1e-4
    )
    assert figures["int8_picture_look_cosine_least"] > 0.99
    assert assemble(made, prefix="clip", figures=figures).space.name != assemble(towers, prefix="clip").space.name
    assert any("cosine to fp32" in line for line in told)
    monkeypatch.setattr("sosie.training.quantisation.LEAST_COSINE", 1.1)
    with pytest.raises(PrecisionError, match="--force-precision"):
        quantise_towers(towers, calibration, force=False, tell=told.append)
