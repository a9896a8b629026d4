"""`sosie train classifier`, from a catalog to a model that is served."""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sosie.engine.inference import ImageInput
from sosie.training import train_command
from sosie.training.pictures import read_pictures
from sosie.training.repository import CONFIG, GRAPH
from sosie.training.sessions import open_session
from sosie.training.triton_config import read_parameters

torch = pytest.importorskip("torch", reason="training needs the extra `training`")
pytestmark = pytest.mark.slow

LABELS = ("ball", "box", "ring")
TINY = ("--backbone", "test_resnet", "--weights", "random")
"""A network of timm's own tests, 0.5 million weights, pictures of 160 pixels; its export takes most of the time."""
LITE0 = ("--backbone", "efficientnet_lite0")
KILLED_WITHIN = 120.0


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of 36 products in two pictures each: three shapes; one of its files and one of its lines are broken."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    lines = ["no product"]
    for number in range(36):
        label = LABELS[number % 3]
        paths = [f"{label}{number}-{view}.png" for view in range(2)]
        for path in paths:
            draw(label, rng).save(folder / path)
        product = {"shop": "s", "product_id": f"{number}", "title": label, "brand": f"maker {number}"}
        pictures = [{"id": path, "path": path} for path in paths]
        lines.append(json.dumps({**product, "category_path": [label], "pictures": pictures}))
    (folder / "ball0-1.png").write_bytes(b"broken")
    (folder / "catalog.jsonl").write_text("\n".join(lines))
    return folder


def draw(label: str, rng: np.random.Generator) -> Image.Image:
    colour = tuple(int(value) for value in rng.integers(0, 160, 3))
    left, top, size = (int(value) for value in rng.integers((20, 20, 70), (50, 50, 100)))
    picture = Image.new("RGB", (170, 170), "white")
    pen = ImageDraw.Draw(picture)
    box = (left, top, left + size, top + size)
    if label == "box":
        pen.rectangle(box, fill=colour)
    elif label == "ball":
        pen.ellipse(box, fill=colour)
    else:
        pen.ellipse(box, outline=colour, width=14)
    return picture


def words(shapes: Path, run: Path, *options: str) -> list[str]:
    """The command's arguments for the catalog of shapes; the repository is beside the run's folder."""
    known = {"--catalog": shapes / "catalog.jsonl", "--images": shapes, "--run": run}
    known["--repository"] = run.parent / "models"
    return ["classifier", *(str(word) for pair in known.items() for word in pair), "--label", "category", *options]


def train(shapes: Path, run: Path, *options: str) -> dict[str, Any]:
    """Runs the command here; the figures that it wrote."""
    parser = argparse.ArgumentParser()
    train_command.add_arguments(parser)
    assert train_command.run(parser.parse_args(words(shapes, run, *options))) == 0
    figures: dict[str, Any] = json.loads((run / "figures.json").read_text())
    return figures


def test_network_of_timm(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network of timm is trained, exported as ONNX, and its graph gives the figures that the run reports."""
    figures = train(shapes, tmp_path / "run", *TINY, "--epochs", "1", "--batch-size", "16", "--train-size", "96")
    shown = capsys.readouterr().out
    assert "category: 72 pictures of 36 products, 3 labels" in shown
    assert "left out, line 1: is not a product" in shown
    assert "left out, picture 'ball0-1.png'" in shown
    assert "epoch 1 of 1" in shown
    assert figures["least_cosine_to_torch"] >= 0.9999
    assert sum(figures["pictures"].values()) == 71
    folder = tmp_path / "models" / "category_classifier"
    parameters = read_parameters((folder / CONFIG).read_text())
    assert (parameters["role"], parameters["label_set"]) == ("classifier", "category")
    assert json.loads(parameters["labels"]) == list(LABELS)
    session = open_session((folder / GRAPH).read_bytes())
    accepted = ImageInput(**json.loads(parameters["input"]))
    (batch,) = read_pictures(shapes, ["ball3-0.png", "box1-0.png", "ring2-0.png"], accepted, print)
    (probabilities,) = session.run(["probabilities"], {"image": batch.pictures})
    assert probabilities.shape == (3, 3)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)


def test_killed_run_goes_on(shapes: Path, tmp_path: Path) -> None:
    """A run that is killed after an epoch goes on from there, and ends with what it would have ended with.

    So does one whose time was up before the first epoch.
    """
    options = (*LITE0, "--epochs", "2", "--batch-size", "16", "--train-size", "64", "--frozen", "0.5")
    whole = train(shapes, tmp_path / "whole", *options)
    call = "import argparse, sys; from sosie.training import train_command as c; p = argparse.ArgumentParser()"
    call += "; c.add_arguments(p); c.run(p.parse_args(sys.argv[1:]))"
    arguments = words(shapes, tmp_path / "killed", *options)
    with subprocess.Popen([sys.executable, "-c", call, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        watchdog = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({KILLED_WITHIN})"])
        for line in process.stdout:
            if "epoch 1 of 2" in line or watchdog.poll() is not None:
                break
        os.kill(process.pid, signal.SIGKILL)
        watchdog.kill()
        watchdog.wait(timeout=10)
    assert not (tmp_path / "killed" / "figures.json").exists()
    resumed = train(shapes, tmp_path / "killed", *options, "--resume")
    assert resumed["history"] == whole["history"]
    assert resumed["test"] == whole["test"]
    assert resumed["run"]["resumed"]
    assert len(train(shapes, tmp_path / "stopped", *options, "--minutes", "0.01")["history"]) == 1
    assert train(shapes, tmp_path / "stopped", *options, "--resume")["history"] == whole["history"]
    with pytest.raises(SystemExit, match="is of backbone efficientnet_lite0, not test_resnet: leave"):
        train(shapes, tmp_path / "killed", *TINY, *options[2:], "--resume")
    with pytest.raises(SystemExit, match="is of other data"):
        train(shapes, tmp_path / "killed", *options, "--seed", "1", "--resume")


def test_bounded_time(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose time is up writes the best that it has until then: here the head."""
    figures = train(shapes, tmp_path / "run", *LITE0, "--epochs", "1000", "--train-size", "64", "--minutes", "0.01")
    assert figures["best_epoch"] == 0
    assert "the time is up" in capsys.readouterr().out


def test_classifier_is_served(shapes: Path, tmp_path: Path) -> None:
    """A head upon EfficientNet-Lite0 tells the shapes apart, and the gateway's Classify answers with its labels."""
    from sosie.client import Client  # noqa: PLC0415  # the stack is slow to import
    from sosie.local.stack import LocalStack  # noqa: PLC0415  # as above

    figures = train(shapes, tmp_path / "run", *LITE0, "--train", "head")
    assert figures["test"]["f1_weighted"]["value"] >= 0.7
    with (
        LocalStack(tmp_path / "models", tmp_path / "state") as stack,
        Client(stack.addresses["gateway"], timeout=30) as client,
    ):
        (answer,) = client.classify((shapes / "ring2-0.png").read_bytes(), label_sets=["category"]).classifications
    assert answer.labels[0].label == "ring"


def test_baseline(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The classical table has every method on every descriptor, and the most frequent label to compare with."""
    parser = argparse.ArgumentParser()
    train_command.add_arguments(parser)
    assert train_command.run(parser.parse_args(words(shapes, tmp_path, *TINY, "--baseline"))) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 1 + 3 * 6
    rows = json.loads((tmp_path / "baseline.json").read_text())["rows"]
    assert {row["descriptor"] for row in rows} == {"none", "HOG", "SIFT words", "test_resnet features"}
    assert max(row["test"] for row in rows) > rows[0]["test"]
    assert not (tmp_path.parent / "models").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--label", "brand"), "label or none|none has at least 10 pictures"),
        (("--backbone", "efficientnet_lite0", "--weights", "missing.pth"), "cannot read missing.pth"),
        (("--backbone", "no_such_net"), "knows no network 'no_such_net'"),
        ((*TINY[2:], "--backbone", "test_vit", "--train-size", "96"), "test_vit takes 160 pixels only"),
        ((*TINY, "--resume"), "holds no checkpoint to go on from"),
        ((*TINY, "--images", "nowhere"), "nowhere is no folder"),
        ((*TINY, "--catalog", "nowhere.jsonl"), "cannot read the catalog nowhere.jsonl"),
    ],
)
def test_mistakes(shapes: Path, tmp_path: Path, options: tuple[str, ...], problem: str) -> None:
    """A mistake ends with one line that says what is wrong."""
    with pytest.raises(SystemExit, match=problem) as ended:
        train(shapes, tmp_path / "run", *options)
    assert str(ended.value).startswith("sosie train classifier: ")
    assert "\n" not in str(ended.value)
