"""`sosie evaluate` as it is called: on the drawn shop with the real towers, and against a real index."""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from sosie.engine.inference import ImageInput
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import EmbeddingSpace, Part
from sosie.engine.store import Facets, Row, picture_key
from sosie.training import evaluate_command
from sosie.training.errors import EvaluationError
from sosie.training.evaluation.index_recall import measure_recall
from sosie.training.goods import read_products
from sosie.training.repository import CONFIG, GRAPH, Model, write_models
from sosie.training.triton_config import Tensor, describe_classifier, write_config
from sosie.v1 import product_pb2
from stack_fixtures import DrawnShop

pytest.importorskip("sklearn", reason="needs the extra `training`")
pytest.importorskip("matplotlib", reason="needs the extra `training`")

PRODUCTS = "40"
LIMIT = 30.0


def evaluate(*arguments: str | Path) -> int:
    """Runs `sosie evaluate` with these arguments."""
    parser = argparse.ArgumentParser()
    evaluate_command.add_arguments(parser)
    return evaluate_command.run(parser.parse_args([str(argument) for argument in arguments]))


def places(shop: DrawnShop, repository: Path, out: Path) -> tuple[str | Path, ...]:
    return ("--catalog", shop.catalog, "--images", shop.images, "--repository", repository, "--out", out)


@pytest.fixture(scope="module")
def first(
    drawn_shop: DrawnShop, mini_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A report on a part of the drawn shop: its folder, and what report.json says."""
    out = tmp_path_factory.mktemp("report")
    assert evaluate(*places(drawn_shop, mini_repository, out), "--max-products", PRODUCTS, "--map-points", "60") == 0
    said: dict[str, Any] = json.loads((out / "report.json").read_text())
    return out, said


@pytest.mark.slow
def test_drawn_shop_is_evaluated(first: tuple[Path, dict[str, Any]]) -> None:
    """Pictures find their product, colour alone says little of the category, and the page shows all sections."""
    out, said = first
    metrics = said["metrics"]

    assert metrics["image.default.product.hit_rate@10"]["value"] > 0.9
    assert metrics["image.colour.category.acc@10"]["value"] < metrics["image.look.category.acc@10"]["value"]
    assert metrics["text.words.product.hit_rate@10"]["value"] == 1
    assert metrics["classification.free_labels.accuracy"]["count"] > 0
    assert metrics["data.products"]["value"] == 40
    assert "40 of the 240 products are used (--max-products)" in said["notes"]
    shown = (out / "report.html").read_text()
    for section in ("retrieval", "worst", "classification", "map", "data"):
        assert f'<h2 id="{section}">' in shown


@pytest.mark.slow
def test_earlier_report_and_limits(
    first: tuple[Path, dict[str, Any]],
    drawn_shop: DrawnShop,
    mini_repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same run again changes nothing; a limit that fails ends with 1 and a line, after the report is written.

    An index is compared with exact search on the way.
    """
    out, said = first
    asyncio.run(fill_index(tmp_path / "index.db", [product for _, product in read_products(drawn_shop.catalog, print)]))
    status = evaluate(
        "retrieval",
        *places(drawn_shop, mini_repository, tmp_path / "again"),
        *("--max-products", PRODUCTS, "--map-points", "0"),
        *("--against", out / "report.json", "--store", tmp_path / "index.db"),
        *("--require", "image.default.product.hit_rate@10>=0.5", "--require", "image.default.category.map>=1"),
    )

    assert status == 1
    told = capsys.readouterr().out
    assert "image.default.category.map >= 1: FAILS" in told
    assert "image.default.product.hit_rate@10 >= 0.5: holds" in told
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert not [one for one in again["differences"] if one["change"]]
    assert again["metrics"]["index.image.recall@10"]["value"] == 1
    assert again["index"]["rows"] == 120
    assert {name for name in said["metrics"] if name.startswith("image")} <= set(again["metrics"])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    """A catalog of four products, with the options that name it."""
    folder = tmp_path_factory.mktemp("small")
    lines = []
    for number, colour in enumerate(("red", "green", "blue", "white")):
        Image.new("RGB", (60, 60), colour).save(folder / f"{colour}.png")
        product = {"product_id": str(number), "title": colour, "category_path": [colour]}
        lines.append(json.dumps({**product, "pictures": [{"path": f"{colour}.png"}]}))
    (folder / "catalog.jsonl").write_text("\n".join(lines))
    return ("--catalog", folder / "catalog.jsonl", "--images", folder)


def test_data_needs_no_models(small: tuple[str | Path, ...], tmp_path: Path) -> None:
    """The data report alone looks at the catalog, and at no model."""
    places = ("--repository", tmp_path / "none", "--out", tmp_path / "out")
    assert evaluate("data", *small, *places, "--require", "data.unusable_pictures<=0") == 0
    assert evaluate("data", *small, *places, "--require", "data.products<=3") == 1
    assert json.loads((tmp_path / "out" / "report.json").read_text())["space"] is None


def make_classifier(labels: list[str]) -> Model:
    """A model that answers the softmax of a picture's mean red, green and blue."""
    means = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["values", "plane"], ["mean"], keepdims=0),
            helper.make_node("Softmax", ["mean"], ["probabilities"], axis=-1),
        ],
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(labels)])],
        [numpy_helper.from_array(np.array([1, 2], np.int64), "plane")],
    )
    graph = helper.make_model(means, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    config = write_config(
        "category_classifier",
        accepts=Tensor("image", "UINT8", (8, 8, 3)),
        answers=[Tensor("probabilities", "FP32", (len(labels),))],
        parameters=describe_classifier("category", labels, ImageInput(8)),
        threads=1,
    )
    return Model("category_classifier", {GRAPH: graph.SerializeToString(), CONFIG: config.encode()})


def test_classifier_is_judged_without_encoders(small: tuple[str | Path, ...], tmp_path: Path) -> None:
    """A repository's classifier is judged on the catalog; a label that it does not know is left out, and said."""
    write_models(tmp_path / "models", [make_classifier(["red", "green", "blue"])])
    places = ("--repository", tmp_path / "models", "--out", tmp_path / "out")
    assert evaluate("classification", *small, *places, "--split", "all") == 0

    said = json.loads((tmp_path / "out" / "report.json").read_text())
    accuracy = said["metrics"]["classification.category_classifier.accuracy"]
    assert (accuracy["value"], accuracy["count"]) == (1.0, 3)
    assert any("knows nothing of 1 labels of the catalog, 'white' is one" in note for note in said["notes"])
    with pytest.raises(SystemExit, match="holds no classifier 'shape', only category_classifier"):
        evaluate("classification", *small, *places, "--classifier", "shape")


def test_mistakes_are_one_line(small: tuple[str | Path, ...], tmp_path: Path) -> None:
    """What is missing or unknown is said in one line, with what to change."""
    (tmp_path / "models").mkdir()
    (tmp_path / "empty.jsonl").write_text("")
    catalog, images = small[:2], small[2:]

    def told(*arguments: str | Path) -> str:
        with pytest.raises(SystemExit) as caught:
            evaluate("--out", tmp_path / "out", *arguments)
        message = str(caught.value)
        assert message.startswith("sosie evaluate: ")
        assert "\n" not in message
        return message

    assert "holds no encoders" in told(*small, "--repository", tmp_path / "models", "retrieval")
    assert "is no folder" in told(*small, "--repository", tmp_path / "gone", "retrieval")
    assert "with --images" in told(*catalog, "--images", tmp_path / "gone")
    assert "holds no product" in told("--catalog", tmp_path / "empty.jsonl", *images, "data")
    assert "cannot read the catalog" in told("--catalog", tmp_path / "gone.jsonl", *images, "data")
    assert "neither a path ending in .db" in told(*small, "--store", "localhost:19530")
    assert "cannot read the earlier report" in told(*small, "--against", tmp_path / "gone.json", "data")
    assert "was not measured; the nearest are" in told(*small, "data", "--require", "data.product>=1")
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="cannot write to"):
        evaluate("--out", tmp_path / "file", *small, "data")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--require", "map"],
        ["--weights", "look"],
        ["--weights", "look=101"],
        ["--weights", "=1"],
        ["--max-products", "0"],
        ["--map-points", "-1"],
        ["--split", "train"],
        ["index"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Malformed options are argparse's to refuse."""
    with pytest.raises(SystemExit) as caught:
        evaluate("--catalog", "c", "--images", "i", "--out", "o", *arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


INDEX = EmbeddingSpace(
    name="index-1",
    parts=(Part("look", 8, 1.0), Part("words", 4, 0.0, 1.0)),
    label_part="look",
    label_scale=1.0,
)


def make_rows(count: int) -> list[Row]:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        parts = {part.name: rng.normal(size=part.size).astype(np.float32) for part in INDEX.parts}
        vector = INDEX.assemble({name: values / np.linalg.norm(values) for name, values in parts.items()})
        rows.append(Row(f"{number:032x}", f"p{number}", 0, vector, Facets("s"), b""))
    return rows


async def fill_index(path: Path, products: Sequence[product_pb2.Product]) -> None:
    """Writes rows for the first pictures of a catalog."""
    keys = [picture_key(one.shop, one.product_id, picture.id) for one in products for picture in one.pictures]
    store = MilvusStore(str(path), "sosie")
    try:
        await store.create(INDEX, timeout=LIMIT)
        await store.upsert(
            [replace(row, key=key) for row, key in zip(make_rows(120), keys, strict=False)], timeout=LIMIT
        )
    finally:
        await store.close()


async def test_index_is_compared_with_exact_search(tmp_path: Path) -> None:
    """A real index with exact search finds all of it; rows that the catalog does not know are compared, too."""
    store = MilvusStore(str(tmp_path / "index.db"), "sosie")
    rows = make_rows(130)
    try:
        await store.create(INDEX, timeout=LIMIT)
        await store.upsert(rows, timeout=LIMIT)
        keys = [row.key for row in rows[:15]] + ["gone"]
        found = await measure_recall(store, keys, seed=0, tell=lambda _: None)
        with pytest.raises(EvaluationError, match="holds 130 rows, and none of this catalog's pictures"):
            await measure_recall(store, ["gone"], seed=0, tell=lambda _: None)
    finally:
        await store.close()

    assert (found.space, found.rows, found.questions) == ("index-1", 130, 15)
    assert found.fetched > 15
    for question in ("image", "words"):
        assert {name: each.value for name, each in found.estimates[question].items()} == {
            "recall@10": 1.0,
            "recall@100": 1.0,
        }


class Forgetful:
    """A store that finds every other row of what the real one finds."""

    def __init__(self, store: MilvusStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def search(self, *arguments: Any, **options: Any) -> Any:
        return (await self._store.search(*arguments, **options))[::2]


async def test_what_an_index_misses_is_counted(tmp_path: Path) -> None:
    """An index that forgets every other neighbour has a recall@10 of a half."""
    store = MilvusStore(str(tmp_path / "index.db"), "sosie")
    rows = make_rows(120)
    try:
        await store.create(INDEX, timeout=LIMIT)
        await store.upsert(rows, timeout=LIMIT)
        found = await measure_recall(Forgetful(store), [row.key for row in rows[:15]], seed=0, tell=lambda _: None)
    finally:
        await store.close()
    assert found.estimates["image"]["recall@10"].value == pytest.approx(0.5)
