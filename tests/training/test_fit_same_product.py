"""The same-product head: on made-up features, as a model, and through the command on a tiny space."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sosie.training import command
from sosie.training.errors import FitError, RepositoryError
from sosie.training.fitting.pair_report import is_better, measure_auc, measure_reliability, measure_roc, measure_score
from sosie.training.fitting.pairs import draw_pairs, evaluate_pairs, image_weights, split_families, weigh
from sosie.training.fitting.scorers import PairHead, build_scorer, open_scorer
from sosie.training.goods import Goods
from sosie.training.heads import Floats
from sosie.training.repository import write_models
from sosie.training.vectors import unit
from training.tiny_space import LOOK, SPACE, draw_shop, make_features, write_space

pytest.importorskip("torch", reason="fitting needs the extra `training`")
metrics = pytest.importorskip("sklearn.metrics")
same_product = pytest.importorskip("sosie.training.fitting.same_product")


def hush(_: str) -> None:
    """Nobody listens."""


def fit(*, related: bool = True, products: int = 150) -> Any:
    features = make_features(related=related, products=products)
    splits = split_families(features.goods, 0)
    return same_product.fit_same_product(
        SPACE, features, splits, name="same_product", seed=0, epochs=12, batch=256, tell=hush
    )


@pytest.fixture(scope="module")
def fitted() -> Any:
    return fit()


def draw_head(seed: int = 0) -> PairHead:
    rng = np.random.default_rng(seed)
    inner = (rng.standard_normal((2 * LOOK, 8)) / 8).astype(np.float32)
    weights, bias, outer = (rng.standard_normal(size).astype(np.float32) for size in (2, 8, 8))
    return PairHead(("look", "colour"), weights, 0.3, "look", inner, bias, outer, slope=0.7, offset=-0.2)


def draw_parts(seed: int, count: int = 20) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    sizes = (("look", LOOK), ("colour", 3))
    return {name: unit(rng.standard_normal((count, size))).astype(np.float32) for name, size in sizes}


def test_it_tells_held_out_products(fitted: Any) -> None:
    """Of held-out products the head tells same pairs from others better than the cosine, and means what it says."""
    report = fitted.report

    assert fitted.gained
    assert report.head.auc > report.baseline.auc + 0.05
    assert report.head.brier is not None
    assert report.head.ece is not None
    share = report.positives / (report.positives + report.negatives)
    assert report.head.brier < share * (1 - share)
    assert report.head.ece < 0.05


def test_it_invents_nothing() -> None:
    """Where views of a product have nothing in common, the head is not adopted."""
    nothing = fit(related=False, products=100)

    assert not nothing.gained
    assert nothing.report.head.auc < 0.65


def test_it_is_symmetric() -> None:
    """Two pictures in either order give one probability."""
    head, one, other = draw_head(), draw_parts(1), draw_parts(2)

    np.testing.assert_allclose(head.score(one, other), head.score(other, one), rtol=1e-6)


def test_the_graph_is_the_head(tmp_path: Path) -> None:
    """The model in the repository gives what numpy gives, for whole rows of the space."""
    head, one, other = draw_head(), draw_parts(1), draw_parts(2)
    write_models(tmp_path, [build_scorer("same_product", head, SPACE, seed=3, figures={"auc": 0.5})])
    scorer = open_scorer(tmp_path, "same_product")
    rows = [SPACE.assemble({**parts, "words": draw_parts(9)["look"]}) for parts in (one, other)]

    np.testing.assert_allclose(scorer.score(*rows), head.score(one, other), atol=1e-5)
    assert (scorer.space, scorer.seed) == (SPACE.name, 3)


def test_calibration_finds_the_slope() -> None:
    """Logits that are three times too sure get a slope of a third, and their offset back."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    same = rng.random(20_000) < 1 / (1 + np.exp(-logits))

    slope, offset = same_product.calibrate((3 * logits + 1.5).astype(np.float32), same)

    assert slope == pytest.approx(1 / 3, rel=0.1)
    assert offset == pytest.approx(-0.5, abs=0.1)


def test_calibration_turns_nothing_around() -> None:
    """Logits that are wrong get a slope near 0, never one below it."""
    same = np.arange(100) < 50

    assert 0 < same_product.calibrate(np.where(same, -1.0, 1.0).astype(np.float32), same)[0] <= 1e-3


def test_figures_are_scikit_learns() -> None:
    """Area, rates and Brier score agree with scikit-learn's, ties among the scores included."""
    rng = np.random.default_rng(1)
    same = rng.random(500) < 0.3
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * same, 0.2), 0, 1), 1)
    false, true = measure_roc(scores, same)
    expected = metrics.roc_curve(same, scores, drop_intermediate=False)

    assert measure_auc(scores, same) == pytest.approx(metrics.roc_auc_score(same, scores))
    np.testing.assert_allclose(false, expected[0])
    np.testing.assert_allclose(true, expected[1])
    figures = measure_score(scores, same, ~same, probabilities=True)
    assert figures.brier == pytest.approx(metrics.brier_score_loss(same, scores))
    assert figures.auc_hard == figures.auc
    assert sum(int(part.count) for part in measure_reliability(scores, same)) == 500


def test_weights_count_pairs_several_times() -> None:
    """A pair of weight 2 counts as two such pairs."""
    scores, same = np.array([0.9, 0.8, 0.3, 0.85]), np.array([True, True, False, False])
    doubled = np.array([0, 1, 1, 2, 3])

    weighted = measure_auc(scores, same, np.array([1.0, 2, 1, 1]))
    assert weighted == measure_auc(scores[doubled], same[doubled])


def test_a_better_area_may_be_chance() -> None:
    """A score that is better in every family is better, one that differs by noise or in one family alone is not."""
    rng = np.random.default_rng(2)
    same = rng.random(600) < 0.4
    clusters = np.arange(600) % 40
    weak, strong = rng.normal(same * 0.5), rng.normal(same * 2.0)

    assert is_better(strong, weak, same, clusters)
    assert not is_better(weak + rng.normal(0, 0.05, 600), weak, same, clusters)
    assert not is_better(np.where(clusters == 0, strong, weak), weak, same, clusters)


def test_pairs_are_of_their_kinds() -> None:
    """Same pairs are all views of a product; hard ones are of one category; no pair comes twice, nor with itself."""
    features = make_features(products=30)
    vectors = weigh(image_weights(SPACE), features.pictures)
    pairs = draw_pairs(vectors, features.owners, features.goods, seed=0)
    owners = features.owners[pairs.left], features.owners[pairs.right]

    assert pairs.same.sum() == 30 * 3
    assert ((owners[0] == owners[1]) == pairs.same).all()
    kinds = [np.array([features.goods[owner].category for owner in side]) for side in owners]
    assert (kinds[0] == kinds[1])[pairs.hard].all()
    assert (pairs.left < pairs.right).all()
    assert len({*zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)}) == len(pairs.same)


def test_one_photograph_of_two_sizes_is_no_pair() -> None:
    """Two numbers of one family that show the very same photograph are not learned as different products."""
    goods = [Goods(f"Boot {size}", attributes={"size": str(size)}, product_id=str(size)) for size in (41, 42)]
    goods += [Goods("Lamp", product_id="3"), Goods("Dress", product_id="4")]
    owners = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    vectors = unit(np.random.default_rng(0).standard_normal((8, 6))).astype(np.float32)
    vectors[2] = vectors[0]
    pairs = draw_pairs(vectors, owners, goods, seed=0, nearest=3)

    assert (0, 2) not in {*zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)}
    with pytest.raises(FitError, match="needs products with two pictures or more"):
        draw_pairs(vectors[::2], owners[::2], goods, seed=0)


def test_question_weights_are_the_spaces() -> None:
    """The baseline's inner product is the score that a picture question gets with the default weights."""
    one, other = draw_parts(1), draw_parts(2)
    found = (weigh(image_weights(SPACE), one) * weigh(image_weights(SPACE), other)).sum(1)
    expected = ((one["look"] * other["look"]).sum(1) + 0.25 * (one["colour"] * other["colour"]).sum(1)) / 1.25

    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> Path:
    """The tiny space with a head that the command fitted."""
    folder = write_space(tmp_path_factory.mktemp("models"))
    assert run_command(folder, catalog, "--epochs", "40", "--batch", "64") == 0
    return folder


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shop(tmp_path_factory.mktemp("shop"))


def run_command(folder: Path, catalog: Path, *options: str) -> int:
    """Runs `sosie models same-product` over the tiny space."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    where = ("--catalog", catalog, "--images", catalog.parent, "--repository", folder, "--start", "clip")
    return command.run(parser.parse_args(["same-product", *map(str, where), *options]))


def test_the_command_and_the_judgement_agree(repository: Path, catalog: Path) -> None:
    """evaluate_pairs judges on the very products that were held out, so it finds the figures in the model's config."""
    report = evaluate_pairs(repository, catalog, catalog.parent, report=hush, tell=hush)
    scorer = open_scorer(repository, "same_product")

    assert report.space == scorer.space == SPACE.name
    assert report.head.auc > report.baseline.auc
    text = (repository / "same_product" / "config.pbtxt").read_text()
    assert f'\\"auc\\": {report.head.auc:.4f}' in text or f'\\"auc\\": {report.head.auc}'[:14] in text
    assert json.loads(json.dumps(report.to_json()))["head"]["roc"][0] == [0.0, 0.0]


def test_missing_models_are_named(repository: Path, catalog: Path, tmp_path: Path) -> None:
    """Without a scorer, with a folder that is none, and without its space's encoders, the message says what to do."""
    with pytest.raises(RepositoryError, match="holds no other; `sosie models same-product` fits one"):
        open_scorer(repository, "other")
    with pytest.raises(RepositoryError, match="clip_image is no pair_scorer, its role is image_encoder"):
        open_scorer(repository, "clip_image")
    other = replace(SPACE, name="clip-other")
    write_models(tmp_path, [build_scorer("same_product", draw_head(), other, seed=0, figures={})])
    with pytest.raises(RepositoryError, match="holds no image encoder of the space clip-other"):
        evaluate_pairs(tmp_path, catalog, catalog.parent, report=hush, tell=hush)
    with pytest.raises(SystemExit, match=r"^sosie models same-product: .* holds no model clip_image"):
        run_command(tmp_path, catalog)


@pytest.mark.slow
async def test_the_gateway_passes_it_over(repository: Path, tmp_path: Path) -> None:
    """A real Triton serves the head, and the engine neither takes it for an encoder nor stumbles over it."""
    from sosie.engine.triton import TritonModels  # noqa: PLC0415 -- only this test speaks to a server
    from sosie.local.triton import LocalTriton  # noqa: PLC0415

    with LocalTriton(repository, tmp_path) as triton:
        models = await TritonModels.connect(triton.grpc_address, timeout=30)
        try:
            assert set(models.encoders) == {SPACE.name}
            assert not models.classifiers
            assert (await models.probe(timeout=30)).problem is None
        finally:
            await models.close()
