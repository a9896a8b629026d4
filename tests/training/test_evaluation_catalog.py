"""The data report on catalogs that hold everything that can be wrong."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from sosie.engine.image import prepare
from sosie.training.evaluation.catalog_data import CatalogData, describe_catalog, measure_imbalance
from sosie.training.evaluation.duplicates import FINGERPRINT_INPUT, group_near, group_same, take_fingerprint
from sosie.training.goods import read_products


def draw(seed: int, colour: str = "red", size: int = 160) -> Image.Image:
    """A picture that differs from those of other seeds in shape."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(5):
        x, y = (rng.random(2) * size * 0.7).tolist()
        pen.rectangle((x, y, x + size * 0.25, y + size * 0.25), fill=colour, outline="black")
    return picture


def describe(folder: Path, lines: list[dict[str, object]]) -> CatalogData:
    catalog = folder / "catalog.jsonl"
    catalog.write_text("\n".join(json.dumps(line) for line in lines))
    products = [product for _, product in read_products(catalog, pytest.fail)]
    return describe_catalog(products, folder, tell=lambda _: None)


def product(number: int, *paths: str, **fields: object) -> dict[str, object]:
    pictures = [{"id": str(place), "path": path} for place, path in enumerate(paths)]
    return {"shop": "s", "product_id": str(number), "title": f"thing {number}", "pictures": pictures, **fields}


def test_hostile_catalog_is_described(tmp_path: Path) -> None:
    """Broken, missing, empty and escaping pictures are listed with their reasons; the rest is counted."""
    draw(1).save(tmp_path / "good.png")
    draw(2, size=100).save(tmp_path / "small.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    whole = io.BytesIO()
    draw(3).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:400])
    (tmp_path / "empty.png").write_bytes(b"")
    bad = ["broken.jpg", "cut.jpg", "empty.png", "missing.png", "../../etc/passwd", "nul\0.png", ""]
    data = describe(
        tmp_path,
        [
            product(1, "good.png", "small.jpg", brand="A", category_path=["x"], price={"currency_code": "EUR"}),
            product(2, *bad),
            product(3, title=" "),
        ],
    )

    assert {picture.path for picture in data.usable} == {"good.png", "small.jpg"}
    assert [picture.path for picture in data.unusable] == bad
    assert all(picture.problem and "\n" not in picture.problem for picture in data.unusable)
    assert data.formats == {"PNG": 1, "JPEG": 1}
    assert data.small == 2
    assert data.gaps == {
        "title": 1,
        "brand": 2,
        "category": 2,
        "price": 2,
        "picture": 1,
        "picture that can be read": 2,
    }
    assert data.counts["category"] == {"x": 1}


def test_duplicates_are_found(tmp_path: Path) -> None:
    """Copies share their bytes; a smaller JPEG of one is nearly it; another shape or another colour is not."""
    draw(1).save(tmp_path / "one.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "one.png").read_bytes())
    draw(1).resize((130, 130)).save(tmp_path / "again.jpg", quality=70)
    draw(1, colour="blue").save(tmp_path / "blue.png")
    draw(2).save(tmp_path / "other.png")
    Image.new("RGB", (80, 80), "white").save(tmp_path / "blank.png")
    Image.new("RGB", (90, 90), "white").save(tmp_path / "blank2.png")
    names = ["one.png", "copy.png", "again.jpg", "blue.png", "other.png", "blank.png", "blank2.png", "missing.png"]
    data = describe(tmp_path, [product(number, name) for number, name in enumerate(names)])

    def named(groups: tuple[tuple[int, ...], ...]) -> list[list[str]]:
        return [[data.pictures[place].path for place in group] for group in groups]

    assert named(data.same) == [["one.png", "copy.png"]]
    assert named(data.near) == [["one.png", "copy.png", "again.jpg"]]


@given(st.lists(st.sampled_from("abcd"), max_size=12))
def test_same_digests_form_groups(digests: list[str]) -> None:
    """A place is in a group just where another one has its digest."""
    grouped = sorted(place for group in group_same(digests) for place in group)
    assert grouped == [place for place, name in enumerate(digests) if digests.count(name) > 1]


def test_near_pictures_join_across_blocks() -> None:
    """Pictures far apart in a large catalog are compared, too."""
    data = io.BytesIO()
    draw(7).save(data, "PNG")
    one = take_fingerprint(prepare(data.getvalue(), FINGERPRINT_INPUT))
    rng = np.random.default_rng(0)
    noise = []
    for _ in range(10):
        grey = rng.integers(0, 190, (72, 72, 1)).repeat(3, axis=2)
        noise.append(take_fingerprint((grey + rng.integers(0, 60, (72, 72, 3))).astype(np.uint8)))
    assert group_near([one, *noise * 110, one])[0] == [0, 1101]


def test_imbalance_by_hand() -> None:
    """Equal classes count as many as there are; one that has nearly all counts little more than one."""
    even = measure_imbalance({"a": 10, "b": 10, "c": 10})
    assert (even.classes, even.ratio, even.few) == (3, 1.0, 0)
    assert even.effective == pytest.approx(3)
    uneven = measure_imbalance({"a": 98, "b": 1, "c": 1})
    assert 1 < uneven.effective < 1.2
    assert (uneven.largest_share, uneven.ratio, uneven.few) == (0.98, 98.0, 2)
