"""Pictures that look the same: what is taken for the same, what is listed, and what is dropped."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from indexer_fixtures import make_product
from sosie.indexer.cleaning.clean_catalog import CleanCatalog, CleaningOptions
from sosie.indexer.cleaning.likeness import MAX_BITS, MAX_COLOUR, Likeness
from sosie.indexer.cleaning.lookalikes import Lookalikes
from sosie.indexer.cleaning.near_duplicates import AHEAD, NearDuplicates, NearMode
from sosie.indexer.cleaning.options import MODES
from sosie.indexer.entry import Entry
from sosie.indexer.pictures import PictureFolder


def draw(seed: int, size: int = 400) -> Image.Image:
    """Something on white, as shops show it."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        left, top = random.uniform(0.15, 0.6, 2)
        width, height = random.uniform(0.1, 0.3, 2)
        box = [size * left, size * top, size * (left + width), size * (top + height)]
        pen.ellipse(box, fill=tuple(int(level) for level in random.integers(0, 255, 3)))
    return picture


def encode(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(4):
        picture = draw(seed)
        (folder / f"{seed}.jpg").write_bytes(encode(picture, quality=92))
        (folder / f"{seed}-small.webp").write_bytes(encode(picture.resize((250, 250)), "WEBP", quality=60))
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    return folder


VARIANTS = {
    "compressed": lambda picture: encode(picture, quality=50),
    "as PNG": lambda picture: encode(picture, "PNG"),
    "as WebP": lambda picture: encode(picture, "WEBP", quality=60),
    "half as large": lambda picture: encode(picture.resize((200, 200)), quality=85),
    "twice as large": lambda picture: encode(picture.resize((800, 800)), quality=85),
    "turned by EXIF": lambda picture: encode(picture.rotate(90, expand=True), exif=turned_right()),
}


def turned_right() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("seed", range(3))
def test_another_file_of_a_picture_looks_the_same(name: str, seed: int) -> None:
    """A picture that was compressed, scaled or turned by its file resembles the first, within the bounds."""
    picture = draw(seed)
    first, other = Likeness.of(encode(picture, quality=92)), Likeness.of(VARIANTS[name](picture))
    assert first.resembles(other)
    assert first.differing_bits(other) <= MAX_BITS
    assert first.differing_colour(other) <= MAX_COLOUR


def test_variants_differ() -> None:
    """A part in another colour, a mirrored picture and another picture do not look the same."""
    picture = draw(1)
    first = Likeness.of(encode(picture))
    seam = picture.copy()
    ImageDraw.Draw(seam).rectangle([180, 180, 220, 200], fill="orange")
    tinted = Image.fromarray(np.asarray(picture)[..., ::-1].copy())
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for other in (seam, tinted, mirrored, draw(2)):
        assert not first.resembles(Likeness.of(encode(other)))


def test_an_even_background_says_nothing() -> None:
    """Noise below the margin sets no bit: all even pictures have the hash 0, and their colours tell them apart."""
    random = np.random.default_rng(0)
    noisy = Image.fromarray(random.integers(250, 254, (300, 300, 3), np.uint8))
    white, grey = Likeness.of(encode(noisy)), Likeness.of(encode(Image.new("RGB", (300, 300), "grey")))
    assert (white.bits, grey.bits) == (0, 0)
    assert not white.resembles(grey)


def make_likenesses(count: int, seed: int) -> Iterator[Likeness]:
    """Random ones, each followed by one that just resembles it."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        bits = int(random.integers(2**63)) * 2 + int(random.integers(2))
        colours = random.integers(0, 256, 432).astype(np.int16)
        near = (colours + random.integers(-MAX_COLOUR, MAX_COLOUR + 1, 432)).clip(0, 255)
        flips = sum(1 << int(bit) for bit in random.choice(64, MAX_BITS, replace=False))
        yield Likeness(bits, colours.astype(np.uint8).tobytes())
        yield Likeness(bits ^ flips, near.astype(np.uint8).tobytes())


def test_none_that_resembles_is_missed() -> None:
    """Whatever the colours, a picture at the very bounds is found, with the name and the likeness of the first."""
    lookalikes = Lookalikes()
    pairs = list(make_likenesses(300, 5))
    for number in range(0, len(pairs), 2):
        assert lookalikes.meet(pairs[number], str(number)) is None
    for number in range(0, len(pairs), 2):
        assert lookalikes.meet(pairs[number + 1], "other") == (str(number), pairs[number])
    lookalikes.close()


def test_even_shades_are_found_across_buckets() -> None:
    """Where all values lie at a bucket's edge, the neighbours' buckets are looked into."""
    lookalikes = Lookalikes()
    assert lookalikes.meet(Likeness(0, bytes([31] * 432)), "31") is None
    assert lookalikes.meet(Likeness(0, bytes([32 + 7] * 432)), "39") == ("31", Likeness(0, bytes([31] * 432)))
    assert lookalikes.meet(Likeness(0, bytes([32 + 8] * 432)), "40") is None
    lookalikes.close()


def save(folder: Path, *products: tuple[str, ...]) -> Path:
    """A catalog of products with these pictures."""
    path = folder / "catalog.jsonl"
    lines = [
        json.dumps({**make_product(number), "pictures": [{"id": name, "path": name} for name in pictures]})
        for number, pictures in enumerate(products)
    ]
    path.write_text("\n".join(lines))
    return path


def watch(catalog: Path, images: Path, *, drop: bool) -> tuple[list[list[str]], NearDuplicates, list[dict[str, Any]]]:
    """The pictures that products keep, the watcher, and what it lists."""
    path = catalog.with_suffix(".near.jsonl")
    watcher = NearDuplicates(PictureFolder(images), path, drop=drop, threads=2)
    found = list(CleanCatalog(catalog, CleaningOptions(), watcher))
    kept = [[picture.id for picture in each.product.pictures] for each in found if isinstance(each, Entry)]
    return kept, watcher, [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


PRODUCTS = [("0.jpg", "1.jpg", "0-small.webp"), ("2.jpg", "damaged.jpg", "none.jpg"), ("1-small.webp",), ("3.jpg",)]


def test_pairs_are_listed(tmp_path: Path, images: Path) -> None:
    """Reporting lists each picture that looks like one before, of its product or of another, and keeps all."""
    kept, watcher, pairs = watch(save(tmp_path, *PRODUCTS), images, drop=False)
    assert kept == [list(product) for product in PRODUCTS]
    assert [(pair["picture"]["picture_id"], pair["like"]["picture_id"], pair["dropped"]) for pair in pairs] == [
        ("0-small.webp", "0.jpg", False),
        ("1-small.webp", "1.jpg", False),
    ]
    assert pairs[1]["picture"] == {
        "file": "catalog.jsonl",
        "line": 3,
        "shop": "norden",
        "product_id": "p2",
        "picture_id": "1-small.webp",
    }
    assert watcher.books == {"within_products": 1, "across_products": 1, "dropped": 0, "file": str(watcher.path)}


def test_a_repeated_picture_is_dropped_within_its_product(tmp_path: Path, images: Path) -> None:
    """Dropping leaves each product the first of pictures that look the same; another product keeps its own."""
    kept, watcher, pairs = watch(save(tmp_path, *PRODUCTS), images, drop=True)
    assert kept == [["0.jpg", "1.jpg"], *map(list, PRODUCTS[1:])]
    assert [pair["dropped"] for pair in pairs] == [True, False]
    assert watcher.books["dropped"] == 1


def test_without_pairs_there_is_no_list(tmp_path: Path, images: Path) -> None:
    """An earlier run's list is gone, and none is made where there is nothing to list."""
    catalog = save(tmp_path, ("0.jpg",), ("1.jpg",))
    catalog.with_suffix(".near.jsonl").write_text("{}")
    _, watcher, pairs = watch(catalog, images, drop=True)
    assert pairs == []
    assert watcher.books == {"within_products": 0, "across_products": 0, "dropped": 0, "file": None}


def test_the_order_stays(tmp_path: Path, images: Path) -> None:
    """Entries and rejects come in the catalog's order, however many are looked at side by side."""
    catalog = save(tmp_path, *[(f"{number % 4}.jpg",) for number in range(2 * AHEAD + 3)])
    lines = catalog.read_text().splitlines()
    lines[70] = "{}"
    catalog.write_text("\n".join(lines))
    watcher = NearDuplicates(PictureFolder(images), tmp_path / "near.jsonl", drop=True, threads=2)
    found = list(CleanCatalog(catalog, CleaningOptions(), watcher))
    assert [each.line for each in found] == list(range(1, 2 * AHEAD + 4))
    assert not isinstance(found[70], Entry)
    assert watcher.across == 2 * AHEAD + 2 - 4


def test_the_options_name_every_mode() -> None:
    """What --near-duplicates takes are the modes."""
    assert tuple(NearMode) == MODES
