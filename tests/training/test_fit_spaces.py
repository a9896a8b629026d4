"""Fitting a new part to any space: made-up features first, then the command on a tiny space like clip's."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from sosie.engine.space import EmbeddingSpace
from sosie.training import command
from sosie.training.errors import FitError, RepositoryError
from sosie.training.fitting.grafting import graft_head
from sosie.training.fitting.judging import are_gains, measure_pictures
from sosie.training.goods import Goods
from sosie.training.heads import Projection
from sosie.training.repository import CONFIG, GRAPH
from sosie.training.sessions import open_session
from sosie.training.space_encoders import find_encoders
from sosie.training.triton_config import read_parameters
from sosie.training.vectors import unit
from training.tiny_space import SIDE, SPACE, draw_shop, make_features, write_space

pytest.importorskip("torch", reason="fitting needs the extra `training`")
refining = pytest.importorskip("sosie.training.fitting.refining")
refitting = pytest.importorskip("sosie.training.fitting.refitting")


def hush(_: str) -> None:
    """Nobody listens."""


@pytest.mark.parametrize("loss", ["supervised", "triplet", "cosine"])
def test_picture_losses_gain(loss: str) -> None:
    """Where views of a product share what look buries in noise, held-out products' views are found better."""
    growth = refitting.fit_likeness(SPACE, make_features(), refining.Recipe(loss, epochs=25, batch=64), "product", hush)

    assert growth.gained
    name = "picture_finds_other_view_reciprocal_rank"
    assert growth.figures[name] > growth.figures[f"{name}_before"] + 0.03
    assert growth.weights["likeness"][0] + growth.weights["look"][0] == SPACE.parts[0].image_weight


@pytest.mark.parametrize("loss", ["supervised", "triplet", "cosine"])
def test_picture_losses_invent_nothing(loss: str) -> None:
    """Where views of a product have nothing in common, nothing is gained and nothing is adopted."""
    features = make_features(related=False)
    growth = refitting.fit_likeness(SPACE, features, refining.Recipe(loss, epochs=10), "product", hush)

    assert not growth.gained
    assert growth.verdict == "nothing was gained for pictures on the held-out products"


def test_gain_at_the_cost_of_the_other_figure() -> None:
    """Labels that contradict what pictures show may gain their own figure, but never at the cost of the other views."""
    features = make_features()
    growth = refitting.fit_likeness(SPACE, features, refining.Recipe("supervised", epochs=10), "brand", hush)

    before = growth.figures["picture_finds_other_view_reciprocal_rank_before"]
    assert not growth.gained or growth.figures["picture_finds_other_view_reciprocal_rank"] > before - 0.1


def test_meaning_gains_where_sentences_tell_of_pictures() -> None:
    """Titles find held-out pictures better by fitted heads upon look, and the start is kept where nothing is gained."""
    recipe = refining.Recipe("contrastive", epochs=25, batch=64)

    assert refitting.fit_meaning(SPACE, make_features(products=150), recipe, hush).gained
    assert not refitting.fit_meaning(SPACE, make_features(related=False), replace(recipe, epochs=5), hush).gained


def test_same_seed_same_head() -> None:
    """The same seed gives the same head, number by number."""
    recipe = refining.Recipe("triplet", hard_negatives=2, epochs=3)
    first, again = (refitting.fit_likeness(SPACE, make_features(), recipe, "product", hush) for _ in range(2))

    assert np.array_equal(first.graft.image.matrix, again.graft.image.matrix)


def test_start_keeps_the_cosines() -> None:
    """A head starts as a rotation where it need not shorten: cosines are what they were."""
    look = make_features().pictures["look"]
    started = refining.apply_head(refining.start_head(look), look)

    np.testing.assert_allclose(started @ started.T, look @ look.T, atol=1e-5)


def test_memory_that_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that runs out says which batch to try."""

    def fail(*_: object) -> None:
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9e12 bytes"
        )

    monkeypatch.setitem(refining.PICTURE_LOSSES, "cosine", fail)
    with pytest.raises(FitError, match=r"memory ran out with 256 in a batch; try --batch 128$"):
        refitting.fit_likeness(SPACE, make_features(), refining.Recipe("cosine"), "product", hush)


def test_too_little_to_learn_is_named() -> None:
    """One brand, too few second views and too few families are each refused by name."""
    goods = [Goods(f"Model {number}", brand="One") for number in range(12)]
    owners = np.arange(12)

    with pytest.raises(FitError, match="--positives brand needs two different ones, the catalog has 1"):
        refitting.choose_labels(goods, owners, "brand")
    with pytest.raises(FitError, match="--positives category needs two different ones, the catalog has 0"):
        refitting.choose_labels(goods, owners, "category")
    with pytest.raises(FitError, match="0 products have two readable pictures, --positives product needs 5"):
        refitting.choose_labels(goods, owners, "product")
    with pytest.raises(FitError, match="needs at least 10 products of different titles"):
        refitting.fit_likeness(SPACE, make_features(products=8), refining.Recipe("cosine"), "product", hush)


def test_views_of_a_family_count_once() -> None:
    """Many views of one family that gain are no more evidence than one."""
    gains = np.array([0.5] * 30 + [-0.1] * 3)

    assert are_gains(gains)
    assert not are_gains(gains, ["one"] * 30 + ["two", "three", "four"])


def test_what_pictures_find() -> None:
    """The rank is that of the nearest other view, the precision of the first five of the category; else NaN."""
    vectors = unit(np.array([[1, 0], [0.7, 0.7], [0.99, 0.1], [0.9, 0.2], [0, 1]])).astype(np.float32)
    finds = measure_pictures(vectors, np.array([0, 4]), np.array([0, 0, 1, 2, 3]), ["boot", "boot", "lamp", ""])

    assert finds.reciprocal_ranks[0] == pytest.approx(1 / 3)
    assert finds.precisions[0] == pytest.approx(1 / 5)
    assert np.isnan(finds.reciprocal_ranks[1])
    assert np.isnan(finds.precisions[1])


def run_command(*arguments: str | Path) -> int:
    """Runs `sosie models` with these arguments."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shop: Path) -> Path:
    """A repository with the tiny space and the one that a fit made of it."""
    folder = write_space(tmp_path_factory.mktemp("models"))
    options = ("--loss", "supervised", "--hard-negatives", "2", "--epochs", "20", "--batch", "32")
    assert fit(folder, shop, *options) == 0
    return folder


def fit(folder: Path, catalog: Path, *options: str) -> int:
    where = ("--catalog", catalog, "--images", catalog.parent, "--repository", folder)
    return run_command("fit", "--bundle", "clip", *where, *options)


def read_space(folder: Path, name: str) -> EmbeddingSpace:
    return find_encoders(folder, name).space


def test_a_fitted_space_stands_beside_the_old_one(fitted: Path) -> None:
    """Both folders speak a new space of one part more, which says what it gained; the old ones are as before."""
    space = read_space(fitted, "fitted_image")

    assert [part.name for part in space.parts] == ["look", "colour", "words", "likeness"]
    assert space.name.startswith("clip-")
    assert space.name != SPACE.name
    name = "picture_finds_other_view_reciprocal_rank"
    assert space.figures[name] > space.figures[f"{name}_before"]
    assert read_space(fitted, "clip_image") == SPACE
    assert space.label_part == SPACE.label_part


def test_old_parts_are_bit_by_bit_the_same(fitted: Path) -> None:
    """The grown graph gives the old outputs unchanged, and beside them the head of look as numpy computes it."""
    pictures = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3)).astype(np.uint8)
    old, new = (open_session((fitted / name / GRAPH).read_bytes()) for name in ("clip_image", "fitted_image"))
    before, after = old.run(["look", "colour"], {"image": pictures}), new.run(None, {"image": pictures})

    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in load(fitted).graph.initializer}
    expected = unit(after[0] @ arrays["likeness/head.matrix"] + arrays["likeness/head.bias"])
    np.testing.assert_allclose(after[2], expected, atol=1e-5)


def load(folder: Path, name: str = "fitted_image") -> onnx.ModelProto:
    model = onnx.load(folder / name / GRAPH)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_all_configs_are_derived(fitted: Path) -> None:
    """Each config of the folder has the new name, the new space and the new output, and TensorRT a cache of its own."""
    space = read_space(fitted, "fitted_image")
    configs = sorted((fitted / "fitted_image").rglob("*.pbtxt"))

    assert [path.name for path in configs] == ["config.pbtxt", "gpu.pbtxt", "tensorrt.pbtxt"]
    for path in configs:
        text = path.read_text()
        assert 'name: "fitted_image"' in text
        assert "clip_image" not in text
        assert read_parameters(text)["space"] == space.to_json()
        assert text.count('name: "likeness"') == 1
    text = (fitted / "fitted_text" / CONFIG).read_text()
    assert read_parameters(text)["space"] == space.to_json()
    assert "likeness" not in text.replace(json.dumps(space.to_json())[1:-1], "")


def test_a_fitted_space_is_fitted_again(fitted: Path, shop: Path, tmp_path: Path) -> None:
    """From a fitted space a new likeness takes the old one's place."""
    options = ("--loss", "triplet", "--start", "fitted", "--name", "again", "--epochs", "3", "--batch", "32")
    growth = fit(fitted, shop, *options)

    assert growth == 0  # whether it gains or not
    if (fitted / "again_image").exists():
        assert [part.name for part in read_space(fitted, "again_image").parts].count("likeness") == 1


def test_meaning_of_a_clip_space(fitted: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Titles that say nothing of the pictures leave the space as it is, with a sentence and exit status 0."""
    assert fit(fitted, shop, "--epochs", "2", "--name", "said") == 0

    assert "nothing was gained for sentences on the held-out products" in capsys.readouterr().out
    assert not (fitted / "said_image").exists()


def test_unreadable_pictures_are_listed(fitted: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture that cannot be read is named and left out."""
    assert fit(fitted, shop, "--loss", "triplet", "--epochs", "1", "--name", "brief") == 0

    assert "left out, picture 'broken.png'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--positives", "brand"), "--loss contrastive pairs pictures with titles: leave --positives out"),
        (("--loss", "cosine", "--start", "other"), "holds no other_image"),
        (("--loss", "cosine", "--start", "fitted"), "--name fitted is what it starts from"),
        (("--loss", "cosine", "--positives", "brand"), "--positives brand needs two different ones"),
    ],
)
def test_contradictions_are_refused(fitted: Path, shop: Path, options: tuple[str, ...], message: str) -> None:
    """Options that contradict each other or the catalog end in one line that says what to change."""
    with pytest.raises(SystemExit, match=message):
        fit(fitted, shop, *options)


def test_mini_is_not_started_elsewhere(fitted: Path, shop: Path) -> None:
    """mini's own fitting starts from its weights, and says so where another start is asked for."""  # noqa: D403 - a name
    with pytest.raises(SystemExit, match="leave --start out, or fit a likeness"):
        run_command("fit", "--catalog", shop, "--images", shop.parent, "--repository", fitted, "--start", "fitted")


def test_heads_are_not_put_upon_old_graphs(fitted: Path) -> None:
    """A graph of an older opset, and an output that no fitting made, are refused."""
    head = Projection(np.zeros(24, np.float32), np.eye(24, dtype=np.float32))
    graph = (fitted / "clip_image" / GRAPH).read_bytes()
    with pytest.raises(RepositoryError, match="an output 'colour' that no fitting made"):
        graft_head(graph, "look", "colour", head)
    model = onnx.load_from_string(graph)
    model.opset_import[0].version = 13
    with pytest.raises(RepositoryError, match="is of opset 13, a head needs 18"):
        graft_head(model.SerializeToString(), "look", "likeness", head)
