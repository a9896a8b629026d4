"""Pairs, what is measured of them, and the command that writes it."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from sosie.engine.calibration import KINDS
from sosie.engine.space import EmbeddingSpace, Part
from sosie.training import command, mini
from sosie.training.evaluation.towers import open_towers
from sosie.training.goods import Goods
from sosie.training.logistic import regress
from sosie.training.repository import CONFIG
from sosie.training.scoring import calibrating
from sosie.training.scoring.defaults import read_defaults
from sosie.training.scoring.measuring import judge, measure, weightings
from sosie.training.scoring.pairs import AskedCatalog, PairSet, draw_pairs
from sosie.training.scoring.phrases import Phrase, make_phrases
from sosie.training.triton_config import read_parameters
from sosie.training.vectors import unit
from training.tiny_space import SPACE, draw_shop, write_space

SHOP_SPACE = EmbeddingSpace(
    "shop-1", (Part("look", 8, 1.0), Part("meaning", 8, 0.5, 0.5), Part("words", 8, 0.0, 1.0)), "meaning", 1.0
)


def make_catalog(products: int = 80, views: int = 2, *, seed: int = 1) -> AskedCatalog:
    """Products of few hidden facts; pictures and sentences show these under noise, pictures under more."""
    rng = np.random.default_rng(seed)
    facts = rng.standard_normal((products, 8))
    owners = np.repeat(np.arange(products), views)

    def see(what: np.ndarray, noise: float) -> np.ndarray:
        return np.asarray(unit(what + noise * rng.standard_normal(what.shape)), np.float32)

    titles = {"meaning": see(facts, 0.8), "words": see(facts, 0.3)}
    goods = tuple(
        Goods(f"Model {number}", "", ("boot",), {"colour": str(number % 40)}, (), "s", str(number))
        for number in range(products)
    )
    phrases = make_phrases(goods, seed=0)
    said = see(facts[np.arange(products) % 40], 0.4)
    return AskedCatalog(
        SHOP_SPACE,
        goods,
        tuple(map(str, owners)),
        owners,
        {"look": see(facts[owners], 0.7), "meaning": see(facts[owners], 0.8)},
        titles,
        see(facts, 0.3),
        phrases,
        {"meaning": said, "words": said},
    )


def make_pairs(scale: float, shift: float, *, seed: int) -> PairSet:
    """Pairs whose two cosines are normal, as those of a question that is `shift` nearer to everything."""
    rng = np.random.default_rng(seed)
    fits = np.repeat([True, False], 4000)
    means = np.where(fits[:, None], [0.5, 0.4], [0.3, 0.1])
    cosines = shift + scale * (means + rng.multivariate_normal([0, 0], [[0.01, 0.002], [0.002, 0.02]], len(fits)))
    return PairSet(
        "image", ("look", "colour"), {"look": 1.0, "colour": 0.5}, cosines, fits, np.full(len(fits), 1 / len(fits)), 100
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_fit_and_do_not(kind: str) -> None:
    """Each kind of question has both kinds of pairs, which count alike, with all parts that the question knows."""
    pairs = draw_pairs(make_catalog(), kind, seed=0)  # type: ignore[arg-type]  # one of KINDS
    assert pairs is not None
    assert pairs.parts == (("meaning", "words") if kind == "text" else ("look", "meaning", "words"))
    assert pairs.counted[pairs.fits].sum() == pytest.approx(0.5)
    assert pairs.counted[~pairs.fits].sum() == pytest.approx(0.5)
    assert (pairs.cosines[pairs.fits].mean(0) > pairs.cosines[~pairs.fits].mean(0)).all()
    assert pairs.cosines[pairs.fits][:, 0].max() < 0.9999  # a picture is not paired with itself


def test_default_weights_are_those_of_the_question() -> None:
    """A part that both sides fill weighs what both give it; one that a question only may weigh has 0."""
    catalog = make_catalog()
    found = {kind: draw_pairs(catalog, kind, seed=0) for kind in KINDS}
    assert {kind: pairs and pairs.defaults for kind, pairs in found.items()} == {
        "image": {"look": 1.0, "meaning": 0.5, "words": 0.0},
        "text": {"meaning": 0.5, "words": 1.0},
        "image+text": {"look": 1.0, "meaning": 1.0, "words": 1.0},
    }


def test_what_is_said_of_several_products_fits_them_all() -> None:
    """A sentence fits every product of which the shop says it, and none of these is drawn as another."""
    pairs = draw_pairs(make_catalog(views=1), "text", seed=0)
    assert pairs is not None
    titles, phrases = 80, 80 * 2  # 40 colours, two products of each
    assert pairs.fits.sum() == titles + phrases
    assert pairs.questions == 160


def test_phrases_are_what_people_type() -> None:
    """Colour first, else any attribute that the seed chooses, else the category, else the title; all in lower case."""
    goods = (
        Goods("Swing dress", "Alma", ("Women", "Dresses"), {"Colour": "Orange", "material": "cotton"}),
        Goods("Tote", "Alma", ("Bags",), {"material": "Leather", "pattern": "plain", "size": " "}),
        Goods("Rope", "Alma", ("Climbing",)),
        Goods("Gift card", "Alma", (), {}),
    )
    drawn = [[str(phrase) for phrase in make_phrases(goods, seed=seed)] for seed in range(10)]
    assert {tuple(phrases[:1] + phrases[2:]) for phrases in drawn} == {("orange dresses", "climbing", "gift card")}
    assert {phrases[1] for phrases in drawn} == {"leather bags", "plain bags"}


def test_phrases_are_true_by_what_is_said() -> None:
    """A phrase is true of all products of its category and value, also of those that are asked for by another."""
    red = Goods("Tote", "", ("Women", "Bags"), {"colour": "red", "material": "leather"})
    leather = Phrase("Bags", "material", "leather")
    assert leather.is_true_of(red)
    assert Phrase("Bags").is_true_of(red)
    assert not Phrase("Belts", "material", "leather").is_true_of(red)
    assert not Phrase("Bags", "colour", "blue").is_true_of(red)
    assert make_phrases([red], seed=0) == (Phrase("Bags", "colour", "red"),)


def test_catalog_without_second_pictures() -> None:
    """Where no product is shown twice, only sentences give pairs."""
    catalog = make_catalog(views=1)
    assert [draw_pairs(catalog, kind, seed=0) is None for kind in KINDS] == [True, False, True]
    calibrated = calibrating.calibrate(catalog, seed=0)
    assert list(calibrated.measured) == ["text"]
    assert len(calibrated.told) == 2


def test_one_photograph_under_two_numbers() -> None:
    """Pictures of one family that are the same to the last digit are neither right nor wrong."""
    catalog = make_catalog(products=40)
    for values in catalog.pictures.values():
        values[2:4] = values[:2]
    assert catalog.words is not None
    catalog.words[1] = catalog.words[0]
    family = [Goods("Boot 0", "", (), {"size": "0"}), Goods("Boot 1", "", (), {"size": "1"})]
    same = AskedCatalog(**(vars(catalog) | {"goods": (*family, *catalog.goods[2:])}))
    pairs = draw_pairs(same, "image", seed=0)
    assert pairs is not None
    assert pairs.cosines[~pairs.fits].min(1).max() < 0.999


@pytest.mark.parametrize("weighting", ["default", "look x 3", "colour x 3"])
def test_scores_are_shares(weighting: str) -> None:
    """On pairs that were not measured, scores are within 2 % of the share that fits, whatever the weights."""
    measured = measure(make_pairs(1.0, 0.0, seed=1))
    others = make_pairs(1.0, 0.0, seed=2)
    (judged,) = judge(others, measured, {weighting: weightings(others.defaults)[weighting]})
    assert judged.after.error < 0.02 < judged.before.error
    assert judged.after.brier < judged.before.brier


def test_one_min_score_for_all_kinds() -> None:
    """Where cosines lie elsewhere, one score lets as many wrong pairs pass; one similarity does not."""
    wrong = []
    for scale, shift in ((1.0, 0.0), (0.6, 0.35)):
        measured = measure(make_pairs(scale, shift, seed=1))
        judged = next(judge(make_pairs(scale, shift, seed=2), measured, {"default": {"look": 1.0, "colour": 0.5}}))
        wrong.append((*judged.after.wrong, judged.before.wrong[0]))
    (half, most, plain), (other_half, other_most, other_plain) = wrong
    assert half == pytest.approx(other_half, abs=0.01)
    assert most == pytest.approx(other_most, abs=0.01)
    assert abs(plain - other_plain) > 0.05


def test_regression_counts_rows() -> None:
    """A row that counts twice is as good as two rows."""
    rng = np.random.default_rng(0)
    design = np.stack([rng.standard_normal(50), np.ones(50)], axis=1)
    truth = rng.random(50) < 1 / (1 + np.exp(-2 * design[:, 0]))
    twice = np.concatenate([design, design[:10]]), np.concatenate([truth, truth[:10]])
    counted = np.where(np.arange(50) < 10, 2.0, 1.0)
    np.testing.assert_allclose(
        regress(design, truth, np.zeros(2), 1e-6, counted), regress(*twice, np.zeros(2), 1e-6), rtol=1e-6
    )


def test_defaults_of_mini() -> None:
    """The committed figures cover every kind of question, and every part that weighs something by default in it."""
    defaults = read_defaults()
    assert list(defaults) == list(KINDS)
    for kind, measured in defaults.items():
        sides = [side for side, name in enumerate(("image", "text")) if name in kind]
        weights = {part: sum(both[side] for side in sides) for part, both in mini.WEIGHTS.items()}
        curve = measured.curve({part: weight for part, weight in weights.items() if weight})
        assert curve is not None
        assert curve.slope > 0


def run_command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["calibrate", *map(str, arguments)]))


def test_command_writes_both_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All configs of both models get the same figures; the space's name, the graphs and all else stay."""
    repository = write_space(tmp_path / "models")
    catalog = draw_shop(tmp_path)
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    assert run_command(catalog, "--images", tmp_path, "--repository", repository) == 0
    out = capsys.readouterr().out
    assert "judged by as many pairs that fit as others" in out
    assert "colour x 3" in out
    configs = [path for path in before if path.suffix == ".pbtxt"]
    spaces = {read_parameters(path.read_text())["space"] for path in configs}
    (space,) = map(EmbeddingSpace.from_json, spaces)
    assert (space.name, set(space.calibration)) == (SPACE.name, set(KINDS))
    assert {path for path, data in before.items() if path.read_bytes() != data} == set(configs)
    parameters = read_parameters(before[repository / "clip_image" / CONFIG].decode())
    assert read_parameters((repository / "clip_image" / CONFIG).read_text()) | {"space": ""} == parameters | {
        "space": ""
    }

    assert run_command(catalog, "--images", tmp_path, "--repository", repository, "--check") == 0
    assert "written" not in capsys.readouterr().out
    assert open_towers(repository).space == space


def test_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A space without figures has nothing to check, and too few held-out products measure nothing."""
    repository = write_space(tmp_path / "models")
    catalog = draw_shop(tmp_path, products=40)
    assert run_command(catalog, "--images", tmp_path, "--repository", repository, "--check") == 0
    assert f"{SPACE.name} is not calibrated" in capsys.readouterr().out
    assert run_command(catalog, "--images", tmp_path, "--repository", repository, "--held-out") == 0
    out = capsys.readouterr().out
    assert "6 products were held out" in out
    assert "text: only 6 products, nothing was measured" in out
    assert not open_towers(repository).space.calibration
