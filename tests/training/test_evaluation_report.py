"""The report of `sosie evaluate`: what it holds, what it says of changes and limits, and how it shows hostile names."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sosie.engine.space import EmbeddingSpace, Part
from sosie.training.classifier.dataset import read_dataset
from sosie.training.errors import EvaluationError
from sosie.training.evaluation.bootstrap import Estimate
from sosie.training.evaluation.catalog_data import describe_catalog
from sosie.training.evaluation.classifiers import Held, choose_pictures
from sosie.training.evaluation.differences import compare, read_earlier
from sosie.training.evaluation.embedding_map import draw_map
from sosie.training.evaluation.encoding import EncodedCatalog
from sosie.training.evaluation.report import LabelledMap, Report
from sosie.training.evaluation.requirements import Outcome, Requirement, check_requirements
from sosie.training.evaluation.retrieval import Ranking, RetrievalSettings, find_truth, measure_retrieval
from sosie.training.evaluation.worst import choose_worst, find_worst
from sosie.training.fitting.pair_report import PairReport, measure_score
from sosie.training.goods import Goods, read_goods
from sosie.v1 import product_pb2

pytest.importorskip("matplotlib", reason="needs the extra `training`")
page = pytest.importorskip("sosie.training.evaluation.page", reason="needs the extra `training`")

HOSTILE = "<script>alert('x')</script> & \"quotes\" $x_{1 \x07\x00"
SPACE = EmbeddingSpace(
    name="s-1",
    parts=(Part("look", 4, 1.0), Part("meaning", 4, 0.0, 0.2), Part("words", 3, 0.0, 1.0)),
    label_part="meaning",
    label_scale=1.0,
)


def unit(values: np.ndarray) -> np.ndarray:
    vectors: np.ndarray = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return vectors


def make_goods(number: int, **fields: str) -> Goods:
    return Goods(
        title=f"{HOSTILE} {number} {fields.get('colour', '')}",
        brand="Okapi" if number % 2 else HOSTILE,
        category_path=("all", HOSTILE if number % 3 else "shoe"),
        pictures=(f"{number}-a.png", f"{number}-b.png"),
        shop="s",
        product_id=str(number),
    )


def encode(goods: list[Goods], seed: int = 0) -> EncodedCatalog:
    """Pictures whose look says the product, and titles whose words do."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(len(goods)), 2)
    looks = unit(rng.normal(size=(len(goods), 4)))
    words = unit(rng.normal(size=(len(goods), 3)))
    meaning = unit(rng.normal(size=(len(goods), 4)))
    return EncodedCatalog(
        space=SPACE,
        goods=tuple(goods),
        paths=tuple(path for product in goods for path in product.pictures),
        owners=owners,
        pictures={
            "look": unit(looks[owners] + rng.normal(scale=0.3, size=(len(owners), 4))),
            "meaning": unit(meaning[owners]),
        },
        titles={"meaning": unit(meaning + rng.normal(scale=0.2, size=meaning.shape)), "words": words},
        words=words,
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(12):
        for view in "ab":
            Image.fromarray(rng.integers(0, 256, (40, 30, 3)).astype(np.uint8)).save(folder / f"{number}-{view}.png")
    return folder


def measure(goods: list[Goods], settings: RetrievalSettings | None = None) -> tuple[EncodedCatalog, list[Ranking]]:
    catalog = encode(goods)
    notes: list[str] = []
    rankings = measure_retrieval(
        catalog, find_truth(goods), settings or RetrievalSettings(), report=notes.append, tell=lambda _: None
    )
    return catalog, rankings


def make_report(images: Path) -> Report:
    goods = [make_goods(number) for number in range(12)]
    catalog, rankings = measure(goods)
    settings = RetrievalSettings()
    products = [
        product_pb2.Product(
            title=one.title,
            brand=one.brand,
            category_path=one.category_path,
            pictures=[product_pb2.Picture(path=path) for path in (*one.pictures, f"{HOSTILE}.png")],
        )
        for one in goods
    ]
    drawn = draw_map(catalog, points=12)
    assert drawn is not None
    labels = tuple(catalog.goods[catalog.owners[place]].category for place in drawn.pictures)
    return Report(
        catalog=f"{HOSTILE}.jsonl",
        space=SPACE.name,
        settings={"seed": 0},
        data=describe_catalog(products, images, tell=lambda _: None),
        rankings=rankings,
        worst=[
            find_worst(catalog, find_truth(goods), ranking, relation, settings=settings, images=images)
            for ranking, relation in choose_worst(rankings, [])
        ],
        map=LabelledMap(drawn, {"category": labels}),
        notes=[HOSTILE],
    )


@pytest.fixture(scope="module")
def report(images: Path) -> Report:
    return make_report(images)


@pytest.fixture(scope="module")
def shown(report: Report, images: Path) -> str:
    """The page of the report."""
    rendered: str = page.render_page(report, images)
    return rendered


def test_page_escapes_what_a_catalog_says(shown: str) -> None:
    """Titles, brands, categories, paths and notes stand in the page as text; nothing of them is markup."""
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_page_needs_nothing_beside_it(shown: str) -> None:
    """The page links to no file and no host, and its pictures stand in it."""
    sources = re.findall(r'(?:src|href)="([^"]*)"', shown)
    assert sources
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert "url(http" not in shown
    assert shown.count("<svg") >= 5
    assert "currentColor" in shown, "plots take the page's text colour"


def test_json_is_finite_and_stable(report: Report, images: Path) -> None:
    """The same seed gives the same report.json, byte by byte, and every figure in it is finite."""

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    again = make_report(images)
    assert again.to_json() == report.to_json()
    said = json.loads(report.to_json(), parse_constant=refuse)
    assert said["metrics"]["image.default.product.hit_rate@10"]["count"] == 24
    assert all(isinstance(figure["value"], float) for figure in said["metrics"].values())


def test_every_kind_of_question_is_measured() -> None:
    """Pictures and titles ask by the default weights and by each part alone; words are withheld where that matters."""
    _, rankings = measure([make_goods(number) for number in range(12)])

    assert [ranking.name for ranking in rankings] == [
        "image.default",
        "image.look",
        "image.meaning",
        "text.default",
        "text.meaning",
        "text.words",
        "text_without_words.default",
    ]
    by_name = {ranking.name: ranking.estimates for ranking in rankings}
    assert by_name["text.words"]["product"]["map"].value == 1
    assert by_name["text_without_words.default"]["product"]["map"].value < 1
    assert set(by_name["image.look"]["category"]) >= {"acc@10", "hit_rate@10", "map"}


def test_missing_truth_is_said() -> None:
    """Without brands, and with one category, there are no figures by them, and the reasons are given."""
    goods = [replace(make_goods(number), brand="", category_path=("all",)) for number in range(4)]
    truth = find_truth(goods)

    assert set(truth.labels) <= {"product", "family"}
    assert "by brand: no product has one" in truth.left_out
    assert "by category: all products have 'all'" in truth.left_out


def test_variants_of_one_model_are_a_family() -> None:
    """Products whose titles differ in an attribute are right for one another by family, not by product."""
    goods = [
        replace(make_goods(number), title=f"boot {number // 2} {colour}", attributes={"colour": colour})
        for number, colour in enumerate(["red", "blue"] * 3)
    ]
    labels = find_truth(goods).labels
    assert labels["family"].tolist() == [0, 0, 1, 1, 2, 2]
    assert len(set(labels["product"].tolist())) == 6


def test_unknown_part_is_refused_by_name() -> None:
    """A weighting of a part that the space does not have is a mistake that names the parts."""
    with pytest.raises(EvaluationError, match="has no part 'shape', only look, meaning, words"):
        measure([make_goods(0), make_goods(1)], RetrievalSettings(weights={"shape=1": {"shape": 1.0}}))


def test_weights_change_who_is_asked_by(images: Path) -> None:
    """A further weighting is measured for the questions that fill one of its parts."""
    _, rankings = measure([make_goods(n) for n in range(6)], RetrievalSettings(weights={"look=2": {"look": 2.0}}))
    assert [ranking.name for ranking in rankings if ranking.weighting == "look=2"] == ["image.look=2"]


def test_held_out_products_alone_ask() -> None:
    """With --questions held-out only the products that a fitting would judge by ask, among all pictures."""
    goods = [replace(make_goods(number), title=f"thing {number}") for number in range(40)]
    _, rankings = measure(goods, RetrievalSettings(held_out=True))
    asked = {len(set(ranking.products.tolist())) for ranking in rankings}
    assert asked == {6}  # 15 %
    assert all(ranking.ranked.first.max() > 12 for ranking in rankings)


def test_worst_questions_show_right_and_wrong(report: Report) -> None:
    """The worst come first, with their hits marked by the relation that is judged."""
    worst = report.worst[0]
    assert worst.ranking == "image.default.product"
    precision = [one.average_precision for one in worst.questions]
    assert precision == sorted(precision)
    assert len({one.question.path.partition("-")[0] for one in worst.questions}) == len(worst.questions)
    for one in worst.questions:
        assert one.question.thumbnail.startswith("data:image/jpeg;base64,")
        product = one.question.path.partition("-")[0]
        assert all(hit.right == (hit.path.partition("-")[0] == product) for hit in one.hits)


def test_unknown_worst_ranking_is_refused(report: Report) -> None:
    """A ranking that was not measured is refused with those that were."""
    with pytest.raises(EvaluationError, match=r"'image.shape' was not measured; there are image.default.product"):
        choose_worst(report.rankings, ["image.shape"])


METRICS: Mapping[str, Estimate] = {
    "image.default.product.hit_rate@10": Estimate(0.8, 0.75, 0.85, 100),
    "data.unusable_pictures": Estimate(3.0),
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("image.default.product.hit_rate@10>=0.8", True),
        ("image.default.product.hit_rate@10 >= 0.81", False),
        ("data.unusable_pictures<=3", True),
        ("data.unusable_pictures<=2e0", False),
    ],
)
def test_requirement(text: str, holds: bool) -> None:
    """A limit is met at its value, and the outcome says both figures."""
    (outcome,) = check_requirements([Requirement.parse(text)], METRICS)
    assert outcome.holds is holds
    assert ("FAILS" in str(outcome)) is not holds


@pytest.mark.parametrize("text", ["map", "map>0.5", "map>=", "map>=nan", "map==1", ">=1", "map>=1>=2"])
def test_malformed_requirement_is_refused(text: str) -> None:
    """What is not metric>=value or metric<=value with a finite value is a ValueError."""
    with pytest.raises(ValueError, match="expected metric>=value"):
        Requirement.parse(text)


def test_unknown_metric_is_told_its_neighbours() -> None:
    """A name that was not measured is a mistake, answered with the nearest names."""
    with pytest.raises(EvaluationError, match=r"the nearest are image\.default\.product\.hit_rate@10"):
        check_requirements([Requirement.parse("image.default.product.hitrate@10>=0.8")], METRICS)


def test_differences_by_hand(report: Report, tmp_path: Path) -> None:
    """Figures are apart where their intervals do not overlap; what one report lacks is shown, not compared."""
    path = tmp_path / "report.json"
    path.write_text(report.to_json())
    earlier = read_earlier(path)
    assert earlier.metrics == report.metrics()
    assert earlier.space == "s-1"

    before = {"a": Estimate(0.5, 0.4, 0.6, 9), "b": Estimate(0.5, 0.4, 0.6, 9), "gone": Estimate(1.0)}
    after = {"a": Estimate(0.7, 0.61, 0.8, 9), "b": Estimate(0.6, 0.5, 0.7, 9), "new": Estimate(1.0)}
    found = {one.name: one for one in compare(before, after)}
    assert list(found) == ["a", "b", "new", "gone"]
    assert (found["a"].apart, found["b"].apart) == (True, False)
    assert found["a"].change == pytest.approx(0.2)
    assert (found["new"].change, found["gone"].change, found["new"].apart) == (None, None, False)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "metrics": []}', "\udcff"])
def test_other_files_are_no_earlier_report(tmp_path: Path, content: str) -> None:
    """What is no report.json, or one of another format, is refused in one line with its path."""
    (tmp_path / "report.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(EvaluationError) as caught:
        read_earlier(tmp_path / "report.json")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_changes_and_outcomes_are_shown(report: Report, images: Path) -> None:
    """The page shows what changed, and which limits hold."""
    metrics = report.metrics()
    before = {name: replace(figure, value=0.0, low=0.0, high=0.0) for name, figure in metrics.items()}
    outcomes = [Outcome(Requirement("image.default.product.map", at_least=True, limit=2.0), 0.5)]
    changed = replace(report, rankings=(), worst=(), map=None, data=None)
    changed = replace(changed, differences=compare(before, metrics), earlier="old", outcomes=outcomes)
    shown = page.render_page(changed, images)
    assert "Changes since old" in shown
    assert "image.default.product.map &gt;= 2" in shown


def test_pairs_have_names_and_a_section(images: Path) -> None:
    """A same-product head's figures can be required, and its curves are drawn; what it has not is left out."""
    rng = np.random.default_rng(0)
    same = rng.random(80) < 0.5
    scores = np.clip(same * 0.4 + rng.random(80) * 0.6, 0, 1).astype(np.float32)
    head = measure_score(scores, same, ~same, probabilities=True)
    pairs = PairReport(
        scorer="same_product",
        space="s-1",
        products=20,
        positives=int(same.sum()),
        negatives=int((~same).sum()),
        hard_negatives=int((~same).sum()),
        head=head,
        baseline=measure_score(scores, same, ~same, probabilities=False),
    )
    judged = Report(catalog="c.jsonl", space=None, settings={"seed": 0}, pairs=pairs)

    metrics = judged.metrics()
    assert metrics["pairs.head.auc"].value == pytest.approx(head.auc)
    assert "pairs.head.ece" in metrics
    assert "pairs.baseline.ece" not in metrics
    assert json.loads(judged.to_json())["pairs"]["positives"] == pairs.positives
    shown = page.render_page(judged, images)
    assert '<h2 id="pairs">' in shown
    assert shown.count("<svg") == 2


def test_classifiers_are_judged_on_what_their_training_held_out() -> None:
    """The test split holds about a fifth of each label's products, whole; a split by attribute is taken as it is."""
    goods = [replace(make_goods(number), category_path=("a" if number < 20 else "b",)) for number in range(40)]
    judged = choose_pictures(goods, "category", Held())
    assert [judged.labels.count(label) for label in "ab"] == [8, 8]
    assert all(count == 2 for count in np.bincount(judged.owners)[np.unique(judged.owners)])

    named = [replace(one, attributes={"split": "test" if n < 3 else "train"}) for n, one in enumerate(goods)]
    assert set(choose_pictures(named, "category", Held(attribute="split")).owners.tolist()) == {0, 1, 2}
    with pytest.raises(EvaluationError, match="must be train, validation or test"):
        choose_pictures(goods, "category", Held(attribute="split"))


def test_test_split_is_that_of_the_training(tmp_path: Path) -> None:
    """`sosie evaluate` judges a classifier on the very pictures that `sosie train classifier` held out."""
    lines = [
        {
            "shop": "s",
            "product_id": str(number),
            "title": f"thing {number}",
            "category_path": ["abc"[number % 3]] if number % 7 else [],
            "pictures": [{"path": f"{number}-{view}.png"} for view in range(1 + number % 3)],
        }
        for number in range(60)
    ]
    (tmp_path / "catalog.jsonl").write_text("\n".join(map(json.dumps, lines)))
    options: dict[str, Any] = {"min_images": 2, "split_attribute": None, "report": pytest.fail}
    trained = read_dataset(tmp_path / "catalog.jsonl", "category", seed=3, **options)
    judged = choose_pictures(read_goods(tmp_path / "catalog.jsonl", pytest.fail), "category", Held(seed=3))

    assert judged.paths == tuple(trained.paths[place] for place in trained.places("test"))
    assert judged.paths
