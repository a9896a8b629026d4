"""`sosie models fit` on drawn catalogs, with the real towers."""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image, ImageDraw

from sosie.engine.space import EmbeddingSpace
from sosie.training import command, mini, repository, verification
from sosie.training.fitting import contrast
from sosie.training.repository import CONFIG, GRAPH, Model
from sosie.training.sessions import open_session
from sosie.training.triton_config import read_parameters

pytest.importorskip("torch", reason="fitting needs the extra `training`")
pytestmark = pytest.mark.slow

COLOURS = {"red": "#c02030", "blue": "#2040b0", "green": "#209040", "yellow": "#e0c020", "black": "#181818"}
SHAPES = ("ball", "box", "post", "bar", "kite", "ring")


def draw_catalog(folder: Path) -> Path:
    """60 products in two pictures each: six shapes in five colours, from two makers; one line and one file are bad."""
    lines = []
    for maker in ("Okapi", "Tapir"):
        for shape in SHAPES:
            for colour, code in COLOURS.items():
                name = f"{maker}-{shape}-{colour}"
                for view in (1, 2):
                    draw(shape, code, 6 * view + len(maker + colour)).save(folder / f"{name}-{view}.png")
                pictures = [{"id": str(view), "path": f"{name}-{view}.png"} for view in (1, 2)]
                lines.append(
                    {
                        "shop": "s",
                        "product_id": name,
                        "title": f"{maker} {colour} {shape}",
                        "category_path": [shape],
                        "pictures": pictures,
                    }
                )
    (folder / "broken.png").write_bytes(b"no picture")
    lines[0]["pictures"] = [*lines[0]["pictures"], {"id": "3", "path": "broken.png"}]
    catalog = folder / "catalog.jsonl"
    catalog.write_text("\n".join(["not a product", *map(json.dumps, lines)]))
    return catalog


def draw(shape: str, colour: str, shift: int) -> Image.Image:
    picture = Image.new("RGB", (160, 160), "white")
    pen = ImageDraw.Draw(picture)
    left, right = 30 + shift, 110 + shift
    match shape:
        case "ball":
            pen.ellipse((left, 40, right, 120), fill=colour)
        case "box":
            pen.rectangle((left, 40, right, 120), fill=colour)
        case "post":
            pen.rectangle((left + 32, 10, right - 32, 150), fill=colour)
        case "bar":
            pen.rectangle((left - 20, 70, right + 10, 90), fill=colour)
        case "kite":
            pen.polygon(((left, 80), (left + 40, 20), (right, 80), (left + 40, 140)), fill=colour)
        case _:
            pen.ellipse((left, 40, right, 120), outline=colour, width=12)
    return picture


def run_command(*arguments: str | Path) -> int:
    """Runs `sosie models` with these arguments."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


def fit(folder: Path, catalog: Path, *options: str) -> int:
    return run_command("fit", "--catalog", catalog, "--images", catalog.parent, "--repository", folder, *options)


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory, bundle: mini.Bundle) -> Path:
    """A repository that holds the bundle as it was built."""
    folder = tmp_path_factory.mktemp("models")
    repository.write_models(folder, bundle.models)
    return folder


@pytest.fixture(scope="module")
def drawn_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_catalog(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def fitted(models_folder: Path, drawn_catalog: Path) -> Path:
    """The repository after fitting."""
    assert fit(models_folder, drawn_catalog) == 0
    return models_folder


def read_space(folder: Path, name: str) -> EmbeddingSpace:
    spaces = {entry.name: entry.space for entry in repository.read_entries(folder)}
    space = spaces[name]
    assert space is not None
    return space


def test_fitting_helps_sentences(fitted: Path) -> None:
    """Titles find pictures of held-out products better than before, and the space says so."""
    figures = read_space(fitted, "fitted_image").figures

    assert figures["title_reciprocal_rank"] > figures["title_reciprocal_rank_before"]
    assert figures["products_judged_by"] >= 4


def test_fitted_space_stands_beside_the_old_one(fitted: Path, bundle: mini.Bundle) -> None:
    """Both fitted encoders speak one new space; the old models are as they were."""
    image, text = (read_space(fitted, f"fitted_{side}") for side in ("image", "text"))

    assert image == text
    assert image.name != bundle.space.name
    assert read_space(fitted, "mini_image") == bundle.space
    assert {part.name: part.size for part in image.parts}["meaning"] == contrast.SIZE
    assert not (fitted / "fitted_classifier").exists()


def test_pictures_keep_finding_pictures(fitted: Path, photos: np.ndarray) -> None:
    """Look and colour are what they were, with their weights, and meaning has none: pictures find what they found."""
    space = read_space(fitted, "fitted_image")
    sessions = [open_session((fitted / name / GRAPH).read_bytes()) for name in ("mini_image", "fitted_image")]
    old, new = (session.run(["look", "colour"], {"image": photos[:4]}) for session in sessions)

    for before, after in zip(old, new, strict=True):
        np.testing.assert_array_equal(after, before)
    weights = {part.name: part.image_weight for part in space.parts}
    assert weights == {part.name: part.image_weight for part in read_space(fitted, "mini_image").parts}
    assert weights["meaning"] == 0


def test_fitted_graphs_are_sound(fitted: Path) -> None:
    """The fitted graphs pass onnx's check at opset 18, and all but meaning is what the networks compute."""
    for name in ("fitted_image", "fitted_text"):
        model = onnx.load(fitted / name / GRAPH)
        onnx.checker.check_model(model, full_check=True)
        assert [opset.version for opset in model.opset_import] == [18]
    files = {
        str(path.relative_to(fitted / "fitted_text")): path.read_bytes()
        for path in (fitted / "fitted_text").rglob("*")
        if path.is_file()
    }
    assert read_parameters(files[CONFIG].decode())["role"] == "text_encoder"
    verification.verify([Model("fitted_text", files)], without={"meaning"})


def test_fitting_again_gives_the_same(fitted: Path, drawn_catalog: Path, tmp_path: Path, bundle: mini.Bundle) -> None:
    """The same catalog and the same seed give the same space, bit by bit."""
    repository.write_models(tmp_path / "again", bundle.models)
    assert fit(tmp_path / "again", drawn_catalog, "--name", "second") == 0

    assert read_space(tmp_path / "again", "second_image") == read_space(fitted, "fitted_image")


def test_bad_lines_and_pictures_are_told(
    models_folder: Path, drawn_catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is left out is listed with its line or its path, and does not stop the fitting."""
    assert fit(models_folder, drawn_catalog, "--epochs", "1", "--name", "brief") == 0  # whether it gains or not

    told = capsys.readouterr().out
    assert "left out, line 1: is not a product in JSON" in told
    assert "left out, picture 'broken.png'" in told


def test_nothing_is_written_where_nothing_is_gained(
    models_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where titles tell nothing of their pictures the old space stays, with a sentence and exit status 0."""
    rng = np.random.default_rng(0)
    names = ["quartz", "ember", "willow", "slate", "comet", "meadow", "harbor", "velvet", "copper", "lantern"]
    lines = []
    for number in range(24):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(tmp_path / f"{number}.png")
        title = " ".join(rng.choice(names, 3, replace=False)) + f" {number}"
        lines.append(json.dumps({"title": title, "pictures": [{"id": "1", "path": f"{number}.png"}]}))
    (tmp_path / "catalog.jsonl").write_text("\n".join(lines))
    before = sorted(path.name for path in models_folder.iterdir())

    status = fit(models_folder, tmp_path / "catalog.jsonl", "--name", "vain")

    assert status == 0
    assert "the old embedding space stays" in capsys.readouterr().out
    assert sorted(path.name for path in models_folder.iterdir()) == before


@pytest.mark.parametrize("content", ["", "not a product\n"])
def test_empty_catalog_is_refused(models_folder: Path, tmp_path: Path, content: str) -> None:
    """A catalog without products is refused in one line that says how many are needed."""
    (tmp_path / "catalog.jsonl").write_text(content)

    with pytest.raises(SystemExit, match=r"^sosie models fit: needs at least 10 products .* has 0$"):
        fit(models_folder, tmp_path / "catalog.jsonl")


def test_missing_bundle_is_refused(tmp_path: Path) -> None:
    """A repository without the bundle is refused with the command that builds it."""
    with pytest.raises(SystemExit, match="first: sosie models build mini"):
        fit(tmp_path, tmp_path / "catalog.jsonl")
