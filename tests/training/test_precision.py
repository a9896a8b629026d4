"""Graphs of fewer bits: what they are calibrated with, how they are judged, and the bundle mini in int8."""

import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.engine.inference import ImageInput, Pictures
from sosie.engine.space import EmbeddingSpace
from sosie.training import command, mini, precision, quantisation
from sosie.training.errors import PrecisionError
from sosie.training.quantisation import Cosines
from sosie.training.repository import CONFIG, GRAPH
from sosie.training.triton_config import read_parameters

IMAGE_INPUT = ImageInput(8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 30 small pictures, one in a folder of its own, and a file that is none."""
    rng = np.random.default_rng(0)
    (tmp_path / "further").mkdir()
    for number in range(30):
        path = tmp_path / ("further" if number == 0 else "") / f"{number:02}.png"
        Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)).save(path)
    (tmp_path / "broken.jpg").write_bytes(b"none")
    return tmp_path


def test_calibration(folder: Path) -> None:
    """A third of the pictures judges, the rest calibrates, the same at each reading; what is broken is reported."""
    reported: list[str] = []
    one, other = (precision.read_calibration(folder, IMAGE_INPUT, reported.append) for _ in range(2))

    assert one.calibrating.shape == (20, 8, 8, 3)
    assert one.judging.shape == (10, 8, 8, 3)
    assert one.digest == other.digest
    assert not {picture.tobytes() for picture in one.judging} & {picture.tobytes() for picture in one.calibrating}
    assert len(reported) == 2
    assert "broken.jpg" in reported[0]


@pytest.mark.parametrize(
    ("name", "said"), [(None, "--calibration DIR"), ("nowhere", "no folder"), ("further", "1 pic")]
)
def test_too_little_to_calibrate(folder: Path, name: str | None, said: str) -> None:
    """Without a folder of enough pictures nothing is built, and one line says how many are needed."""
    with pytest.raises(PrecisionError, match=said) as caught:
        precision.read_calibration(folder / name if name else None, IMAGE_INPUT, print)
    assert "\n" not in str(caught.value)
    assert "24" in str(caught.value)


def test_judgement() -> None:
    """An output below the least cosine is refused by name unless forced, NaN too; all figures are told."""
    told: list[str] = []
    good, bad, lost = Cosines(0.9995, 0.9999), Cosines(0.9, 0.99), Cosines(float("nan"), 0.99)

    precision.judge("model", {"look": good}, force=False, tell=told.append)
    for low in (bad, lost):
        with pytest.raises(PrecisionError, match=r"^model: colour fall.*--force-precision$"):
            precision.judge("model", {"look": good, "colour": low}, force=False, tell=told.append)
    precision.judge("model", {"colour": bad}, force=True, tell=told.append)

    assert len(told) == 6
    assert "0.90000" in told[-1]


@pytest.mark.slow
def test_another_space(bundle: mini.Bundle, drawn: Pictures) -> None:
    """The image encoder in int8 makes another space, which both encoders describe; its colours are the same."""
    image = bundle.models[0]
    graph = quantisation.quantise_static(image.files[GRAPH], drawn[:8])
    quantised = mini.replace_image_graph(bundle, graph, "int8 one")

    spaces = [
        EmbeddingSpace.from_json(read_parameters(model.files[CONFIG].decode())["space"])
        for model in quantised.models[:2]
    ]
    assert spaces == [quantised.space, quantised.space]
    assert quantised.space.name != bundle.space.name
    assert quantised.space.parts == bundle.space.parts
    assert mini.replace_image_graph(bundle, graph, "int8 two").space.name != quantised.space.name
    assert len(graph) < 0.7 * len(image.files[GRAPH])
    assert quantisation.compare(image.files[GRAPH], graph, {"image": drawn[8:]})["colour"].least > 1 - 1e-6


@pytest.mark.slow
def test_mini_is_refused(folder: Path, tmp_path: Path) -> None:
    """EfficientNet-Lite0 in int8 is too far from itself: the command says how far and writes nothing."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    repository = tmp_path / "models"
    arguments = ["build", "mini", "--precision", "int8", "--calibration", str(folder), "--repository", str(repository)]

    with pytest.raises(SystemExit, match=r"^sosie models build: mini_image: look.* below cosine 0.999"):
        command.run(parser.parse_args(arguments))
    assert not repository.exists()
