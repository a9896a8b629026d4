"""Fitting on made-up features: what the learning and the judging promise, without towers."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format

from sosie.training.errors import FitError
from sosie.training.fitting.contrast import Heads, Pairs, _Fitting, fit_heads, judge
from sosie.training.fitting.judging import (
    USUAL_WEIGHT,
    WEIGHTS,
    Places,
    Recall,
    category_precision,
    choose_scale,
    choose_weight,
    measure_recall,
    rank_own,
    split,
)
from sosie.training.goods import Goods, choose_goods, read_goods
from sosie.training.heads import Floats
from sosie.v1 import product_pb2

torch = pytest.importorskip("torch", reason="fitting needs the extra `training`")

PRODUCTS, HIDDEN = 160, 12


def make_pairs(seed: int, *, related: bool = True) -> tuple[Pairs, tuple[Floats, Floats]]:
    """Products with two pictures each; features and sentence vectors are different maps of the same hidden facts."""
    world = np.random.default_rng(7)
    to_features, to_sentences = world.standard_normal((HIDDEN, 64)), world.standard_normal((HIDDEN, 48))
    rng = np.random.default_rng(seed)
    facts = rng.standard_normal((PRODUCTS, HIDDEN))
    owners = np.repeat(np.arange(PRODUCTS), 2)
    pictures = facts[owners] @ to_features + 0.3 * rng.standard_normal((len(owners), 64))
    said = facts if related else rng.standard_normal(facts.shape)
    sentences = said[:, None] @ to_sentences + 0.3 * rng.standard_normal((PRODUCTS, 4, 48))
    pairs = Pairs(pictures.astype(np.float32), owners, sentences.astype(np.float32))
    classes = rng.standard_normal((20, 64)).astype(np.float32), rng.standard_normal((20, 48)).astype(np.float32)
    return pairs, classes


def fit(seed: int = 0, *, related: bool = True) -> tuple[Heads, Pairs]:
    """Heads fitted to three quarters of the products, and the rest."""
    pairs, classes = make_pairs(1, related=related)
    order = np.random.default_rng(3).permutation(PRODUCTS)
    taught, watched, judged = order[:110], order[110:135], order[135:]
    heads = fit_heads(pairs.select(taught), pairs.select(watched), classes, epochs=60, seed=seed, tell=lambda _: None)
    return heads, pairs.select(judged)


def test_fitting_finds_held_out_pictures() -> None:
    """Sentences find pictures of products that were never seen, where pictures and sentences tell of the same."""
    heads, held = fit()

    assert judge(heads, held) > 0.5


def test_fitting_invents_nothing() -> None:
    """Where sentences tell nothing of the pictures, held-out products are found by chance alone."""
    heads, held = fit(related=False)

    assert judge(heads, held) < 0.35


def test_fitting_is_repeatable() -> None:
    """The same seed gives the same numbers, another seed others."""
    first, again, other = fit(0)[0], fit(0)[0], fit(1)[0]

    assert np.array_equal(first.image.matrix, again.image.matrix)
    assert np.array_equal(first.text.weights[0], again.text.weights[0])
    assert not np.array_equal(first.image.matrix, other.image.matrix)


def test_hard_negatives_come_into_the_batch() -> None:
    """A batch holds its products and their neighbours, each once, and there are more batches for it."""
    pairs, classes = make_pairs(1)
    neighbours = np.stack([(np.arange(PRODUCTS) + 1) % PRODUCTS, np.full(PRODUCTS, -1)], axis=1)
    fitting = _Fitting(pairs, pairs, classes, epochs=1, seed=0, batch=80, neighbours=neighbours)

    assert fitting._join(np.array([3, 4, 9])).tolist() == [3, 4, 5, 9, 10]
    assert fitting._batches == 3 * PRODUCTS // 80
    assert np.isfinite(fitting._step(fitting._join(np.arange(20))))


def test_recall_counts_ties_against() -> None:
    """A picture that another ties with comes after it, so equal vectors do not count as found first."""
    one = np.ones((12, 1), np.float32)
    recall = measure_recall(one, np.arange(12), one, np.arange(12))

    assert recall.first_10 == 0
    assert recall.reciprocal_rank == pytest.approx(1 / 12)


def test_gain_is_more_than_chance() -> None:
    """A gain that most sentences share counts, one of a single sentence among many that lose a little does not."""
    before = Recall(np.full(20, 10))

    assert Recall(np.full(20, 5)).is_better_than(before)
    assert not Recall(np.array([1] + [12] * 19)).is_better_than(before)
    assert not before.is_better_than(before)


def test_category_precision_leaves_the_own_product_out() -> None:
    """Pictures of the question's own product do not count towards its category."""
    similarity = np.array([[9.0, 1, 1, 1, 1, 1]])

    assert category_precision(similarity, np.array([0]), np.arange(6), ["a"] + ["b"] * 5) == 0


def make_titles() -> tuple[Floats, Floats, Places, list[str]]:
    """Similarities of 40 titles with a picture of each product: words know the product, meaning the category alone."""
    rng = np.random.default_rng(4)
    kinds = np.arange(40) % 4
    words = np.eye(40) * 0.3 + 0.1 * rng.random((40, 40))
    meaning = (kinds[:, None] == kinds[None, :]) * 0.3 + 0.3 * rng.random((40, 40))
    return meaning.astype(np.float32), words.astype(np.float32), np.arange(40), [f"kind {kind}" for kind in kinds]


def test_meaning_weighs_what_serves_categories() -> None:
    """A meaning that knows categories is weighed as far as titles still find their own product."""
    meaning, words, products, categories = make_titles()

    weight = choose_weight(meaning, words, products, products, categories)

    assert category_precision(words + weight * meaning, products, products, categories) > 0.9
    assert rank_own(words + weight * meaning, products, products).reciprocal_rank > 0.97
    assert rank_own(words + 4 * meaning, products, products).reciprocal_rank < 0.6


def test_meaning_that_misleads_weighs_least() -> None:
    """Where every weight costs titles their own product, the least is taken; without categories the usual one."""
    _, words, products, categories = make_titles()
    misleading = np.roll(np.eye(40, dtype=np.float32), 1, axis=1) * 9

    assert choose_weight(misleading, words, products, products, categories) == WEIGHTS[0]
    assert choose_weight(misleading, words, products, products, [""] * 40) == USUAL_WEIGHT


def test_scale_follows_how_sure_labels_can_be() -> None:
    """Cosines that separate the labels get a greater scale than ones that are mostly noise."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 300)
    clear = np.eye(5)[truth] * 0.5 + 0.02 * rng.standard_normal((300, 5))
    noisy = np.eye(5)[truth] * 0.05 + 0.3 * rng.standard_normal((300, 5))

    assert choose_scale(clear.astype(np.float32), truth, 7.0) > choose_scale(noisy.astype(np.float32), truth, 7.0)
    assert choose_scale(clear[:, :1].astype(np.float32), truth * 0, 7.0) == 7.0


def test_families_are_not_torn_apart() -> None:
    """Variants of a product that differ in an attribute are held out together, or not at all."""
    goods = [
        Goods(f"Model {number} hoodie {colour}", attributes={"colour": colour})
        for number in range(40)
        for colour in ("red", "blue")
    ]
    families = [product.family for product in goods]
    groups = split(families, 0)

    assert len(set(families)) == 40
    assert sorted(np.concatenate(groups)) == list(range(80))
    names = [{families[place] for place in group} for group in groups]
    assert not names[0] & names[1]
    assert not (names[0] | names[1]) & names[2]


def test_bad_lines_are_reported(tmp_path: Path) -> None:
    """Lines that are no product with a title and a picture are left out, each with its number."""
    good = product_pb2.Product(shop="s", product_id="1", title="Boot", pictures=[product_pb2.Picture(id="1", path="a")])
    lines = [json_format.MessageToJson(good, indent=None), "{", "", '{"title": " "}', '{"title": "No picture"}']
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text("\n".join(lines))
    problems: list[str] = []

    goods = read_goods(catalog, problems.append)

    assert [product.title for product in goods] == ["Boot"]
    assert [problem.partition(":")[0] for problem in problems] == ["line 2", "line 4", "line 5"]


def test_missing_catalog(tmp_path: Path) -> None:
    """A catalog that is not there is named in one line."""
    with pytest.raises(FitError, match=r"cannot read the catalog .*none\.jsonl: No such file"):
        read_goods(tmp_path / "none.jsonl", print)


@pytest.mark.parametrize(("products", "used", "pictures"), [(5, 5, 4), (5000, 5000, 2), (25_000, 8334, 2)])
def test_large_catalogs_are_thinned(products: int, used: int, pictures: int) -> None:
    """Of a large catalog fewer pictures a product are used, of a huge one products spread over all of it."""
    chosen = choose_goods([Goods(str(number), pictures=tuple("abcdef")) for number in range(products)])

    assert len(chosen) == used
    assert {len(product.pictures) for product in chosen} == {pictures}
    assert int(chosen[-1].title) > 0.9 * products - 2
