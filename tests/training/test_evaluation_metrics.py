"""The figures of `sosie evaluate` against cases worked out by hand, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.engine.errors import InputError
from sosie.engine.space import EmbeddingSpace, Part, build_query
from sosie.training.evaluation.bootstrap import estimate_means
from sosie.training.evaluation.classification import (
    METRICS as CLASSIFICATION,
)
from sosie.training.evaluation.classification import (
    describe_classes,
    judge_classifier,
    measure_reliability,
)
from sosie.training.evaluation.ranking import CHANCE, METRICS, NONE, Questions, Ranked, Relation, judge, rank
from sosie.training.evaluation.weighting import weigh_queries

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra `training`")

SPACE = EmbeddingSpace(
    name="s",
    parts=(
        Part("look", 3, 1.0, 0.0),
        Part("colour", 2, 0.35, 0.0),
        Part("meaning", 4, 0.0, 0.2),
        Part("words", 2, 0, 1),
    ),
    label_part="meaning",
    label_scale=1.0,
)


def figures(values: np.ndarray) -> dict[str, float]:
    return dict(zip(METRICS, values[: len(METRICS)].tolist(), strict=True))


def ask(vectors: list[list[float]], rows: list[list[float]], labels: list[int], **options: bool) -> Ranked:
    """Asks about label 0, each question a product of its own, each row too."""
    count = len(vectors)
    questions = Questions(
        np.array(vectors, np.float32), np.full(count, NONE, np.int64), np.full(count, len(rows), np.int64)
    )
    relation = Relation("label", np.zeros(count, np.int64), np.array(labels, np.int64))
    products = np.arange(len(rows))
    return rank(questions, np.array(rows, np.float32), products, [relation], by_product=False, seed=0)


def test_ranking_by_hand() -> None:
    """Right, wrong, right, wrong gives hits at once, half of the first five counted over five, and AP 5/6."""
    ranked = ask([[1.0]], [[0.9], [0.8], [0.7], [0.6]], [0, 1, 0, 1])

    found = figures(ranked.values["label"][0])
    assert ranked.first[0, :5].tolist() == [0, 1, 2, 3, NONE]
    assert found["hit_rate@1"] == found["p@1"] == 1
    assert found["p@5"] == pytest.approx(2 / 5)
    assert found["map"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert ranked.values["label"][0, -1] == 0.5, CHANCE


def test_question_without_a_right_answer_does_not_count() -> None:
    """Where no candidate is right all figures of the question are missing, not 0."""
    assert np.isnan(ask([[1.0]], [[0.9], [0.8]], [1, NONE]).values["label"]).all()


def test_own_picture_is_no_candidate() -> None:
    """The picture that asks is neither found nor counted as right."""
    rows = np.eye(3, dtype=np.float32)
    products = np.array([0, 0, 1])
    questions = Questions(rows, np.arange(3), products)
    ranked = rank(questions, rows, products, [Relation("product", products, products)], by_product=False, seed=0)

    assert all(place not in ranked.first[place] for place in range(3))
    values = ranked.values["product"]
    assert np.isnan(values[2]).all(), "its product has no other picture"
    assert values[:2, METRICS.index("hit_rate@5")].tolist() == [1, 1]


def test_own_product_may_be_left_out_of_a_relation() -> None:
    """Without its own product, a question counts the other products' pictures alone."""
    rows = np.array([[1.0, 0], [0.9, 0], [0.5, 0], [0.4, 0]], np.float32)
    products = np.array([0, 0, 1, 2])
    labels = np.array([0, 0, 1, 0])
    questions = Questions(rows[:1], np.array([0]), products[:1])
    both = [Relation(name, labels[:1], labels, without_own=name == "without") for name in ("with", "without")]
    ranked = rank(questions, rows, products, both, by_product=False, seed=0)

    assert figures(ranked.values["with"][0])["map"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures(ranked.values["without"][0])["map"] == pytest.approx(1 / 2)


def test_products_rank_by_their_best_picture() -> None:
    """Grouped, a product is as near as its nearest picture, and is counted once."""
    rows = np.array([[0.2], [0.9], [0.5], [0.95], [0.1]], np.float32)
    products = np.array([0, 0, 1, 2, 2])
    questions = Questions(np.ones((1, 1), np.float32), np.array([3]), np.array([2]))
    labels = np.array([0, 1, 0])
    ranked = rank(questions, rows, products, [Relation("label", np.array([0]), labels)], by_product=True, seed=0)

    assert ranked.first[0, :4].tolist() == [0, 1, 2, NONE]
    assert figures(ranked.values["label"][0])["p@5"] == pytest.approx(2 / 5)


def test_ties_do_not_depend_on_the_catalogs_order() -> None:
    """Among candidates that tie, the right one comes as early as chance says, wherever it is listed."""
    rates = []
    for right in (0, 9):
        labels = np.where(np.arange(10) == right, 0, 1)
        rows = np.ones((10, 1), np.float32)
        questions = Questions(np.ones((1, 1), np.float32), np.array([NONE]), np.array([99]))
        relation = Relation("label", np.array([0]), labels)
        found = [
            rank(questions, rows, np.arange(10), [relation], by_product=False, seed=seed).values["label"][0, 1]
            for seed in range(60)
        ]
        rates.append(np.mean(found))
    assert rates == pytest.approx([0.5, 0.5], abs=0.2)  # hit_rate@5 of ten


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_average_precision_is_scikit_learns(seed: int) -> None:
    """Without ties, the mean average precision is what scikit-learn says."""
    rng = np.random.default_rng(seed)
    scores = rng.permutation(12).astype(np.float64)
    right = rng.random(12) < 0.4
    right[rng.integers(12)] = True
    order = np.argsort(-scores)
    values = judge(right[order][None], np.ones((1, 12), bool))

    assert figures(values[0])["map"] == pytest.approx(sklearn_metrics.average_precision_score(right, scores))


@given(st.integers(0, 10_000), st.sampled_from(["image", "text"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_many_questions_are_weighed_as_one(seed: int, side: str, named: bool) -> None:
    """Each row of the vectorised weighting is what the engine builds for that question alone."""
    rng = np.random.default_rng(seed)
    names = ["look", "colour", "meaning"] if side == "image" else ["meaning", "words"]
    sizes = {part.name: part.size for part in SPACE.parts}
    parts = {name: rng.normal(size=(5, sizes[name])).astype(np.float32) for name in names}
    parts[names[0]][2] = 0  # a part may be all zero
    weights = {names[0]: float(rng.random() * 5), names[-1]: 1.0, "words": 0.5} if named else None

    vectors = weigh_queries(SPACE, parts, "image" if side == "image" else "text", weights)

    for row in range(5):
        one = {name: values[row] for name, values in parts.items()}
        query = (
            build_query(SPACE, image=one, weights=weights)
            if side == "image"
            else build_query(SPACE, text=one, weights=weights)
        )
        np.testing.assert_allclose(vectors[row], query.vector, rtol=1e-6, atol=1e-7)


def test_weights_that_ask_nothing_are_refused() -> None:
    """Weights that leave nothing above zero are the engine's InputError here, too."""
    parts = {"look": np.ones((2, 3), np.float32)}
    with pytest.raises(InputError, match="has a weight above 0"):
        weigh_queries(SPACE, parts, "image", {"look": 0.0})


def test_intervals_hold_what_they_promise() -> None:
    """Of 200 samples of 60 products with like questions, about 95 % of the intervals hold the true mean."""
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        products = rng.normal(0.5, 0.2, 60)
        groups = np.repeat(np.arange(60), 4)
        values = products[groups] + rng.normal(0, 0.05, 240)
        (found,) = estimate_means(values[:, None], groups, seed=seed, rounds=200)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.5 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_intervals_draw_products_not_questions() -> None:
    """Repeating each question leaves the interval as wide as it was: like questions are no further evidence."""
    values = np.random.default_rng(0).random(40)
    (once,) = estimate_means(values[:, None], np.arange(40))
    (often,) = estimate_means(np.repeat(values, 5)[:, None], np.repeat(np.arange(40), 5))

    assert often.count == 200
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_single_product_has_no_interval() -> None:
    """One product gives a mean without bounds, none at all a ValueError."""
    (found,) = estimate_means(np.array([[0.0], [1.0]]), np.zeros(2, np.int64))
    assert (found.value, found.low, found.high) == (0.5, None, None)
    with pytest.raises(ValueError, match="nothing"):
        estimate_means(np.zeros((0, 1)), np.zeros(0, np.int64))


def draw_probabilities(rng: np.random.Generator, count: int, labels: int) -> np.ndarray:
    shares = rng.dirichlet(np.ones(labels), count)
    probabilities: np.ndarray = shares.astype(np.float32)
    return probabilities


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_classification_is_scikit_learns(seed: int) -> None:
    """Accuracy, F1, TPR and the confusion are what scikit-learn says of the classes that are shown."""
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "d"]
    probabilities = draw_probabilities(rng, 40, 4)
    truth = rng.integers(0, rng.integers(1, 5), 40)
    taken = probabilities.argmax(1)

    confusion, estimates = judge_classifier(probabilities, truth, np.arange(40), names)

    shown = sorted(set(truth.tolist()))
    scores = {"labels": shown, "zero_division": 0}
    assert estimates["accuracy"].value == pytest.approx(sklearn_metrics.accuracy_score(truth, taken))
    for kind in ("macro", "weighted"):
        expected = sklearn_metrics.f1_score(truth, taken, average=kind, **scores)
        assert estimates[f"f1_{kind}"].value == pytest.approx(expected)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(truth, taken, labels=range(4)))
    recall = sklearn_metrics.recall_score(truth, taken, average=None, labels=range(4), zero_division=0)
    assert [each.tpr for each in describe_classes(confusion, names)] == pytest.approx(recall.tolist())


def test_classes_by_hand() -> None:
    """Of two classes, two of three a's are seen, and one of two b's is taken for a."""
    first, second = describe_classes(np.array([[2, 1], [1, 1]]), ["a", "b"])

    assert (first.tpr, first.fpr, first.f1) == pytest.approx((2 / 3, 1 / 2, 2 / 3))
    assert (second.tpr, second.fpr, second.shown, second.taken) == pytest.approx((1 / 2, 1 / 3, 2, 2))


def test_calibration_by_hand() -> None:
    """Sure of 0.9 and right half of the time is 0.4 off; a share as promised is 0 off."""
    labels = ["a", "b"]
    sure = np.tile(np.array([[0.9, 0.1]], np.float32), (10, 1))
    half = np.array([0, 1] * 5)
    _, estimates = judge_classifier(sure, half, np.arange(10), labels)
    assert estimates["ece"].value == pytest.approx(0.4, abs=1e-6)
    (part,) = measure_reliability(sure, half)
    assert (part.confidence, part.right, part.count) == pytest.approx((0.9, 0.5, 10))

    _, estimates = judge_classifier(sure, np.array([0] * 9 + [1]), np.arange(10), labels)
    assert estimates["ece"].value == pytest.approx(0, abs=1e-6)
    assert tuple(estimates) == CLASSIFICATION


def test_intervals_of_f1_hold_its_value() -> None:
    """The bounds of each classification figure lie around it, within 0 and 1."""
    rng = np.random.default_rng(3)
    probabilities = draw_probabilities(rng, 90, 3)
    truth = np.where(rng.random(90) < 0.6, probabilities.argmax(1), rng.integers(0, 3, 90))
    _, estimates = judge_classifier(probabilities, truth, np.repeat(np.arange(30), 3), ["a", "b", "c"])

    for name in ("accuracy", "f1_macro", "f1_weighted"):
        found = estimates[name]
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low < found.value < found.high <= 1
