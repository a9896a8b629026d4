"""The whole path with real parts: the drawn shop through Triton into Milvus Lite, asked through the gateway."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sosie.client import Client, Filter, IndexedPicture, InvalidRequest
from stack_fixtures import DrawnShop, Served, must_sosie, run_sosie

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Kind:
    """What a drawn product is, in truth."""

    kind: str
    colours: frozenset[str]
    pattern: str

    def likeness(self, other: "Kind") -> int:
        """2: the same. 1: the same kind, in the same colours or of the same pattern. 0: anything else."""
        if self.kind != other.kind:
            return 0
        if (self.colours, self.pattern) == (other.colours, other.pattern):
            return 2
        return int(self.colours == other.colours or self.pattern == other.pattern)


def read_kinds(shop: DrawnShop) -> dict[tuple[str, str], Kind]:
    """Each product's kind."""
    return {
        (row["shop"], row["product_id"]): Kind(row["kind"], frozenset(row["colours"]), row["pattern"])
        for row in shop.truth.values()
    }


def likenesses(client: Client, path: Path, own: tuple[str, str], kinds: dict[tuple[str, str], Kind]) -> list[int]:
    """How alike the hits of a picture are, the best first, its own product left out."""
    hits = client.search_by_image(path, top_k=100).hits
    found = [(hit.product.shop, hit.product.product_id) for hit in hits]
    return [kinds[own].likeness(kinds[other]) for other in found if other != own]


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


def order_holds(found: list[int], exact: int) -> bool:
    """All the same ones first; then, on the mean, those that share colours or pattern before the rest."""
    if found[:exact] != [2] * exact:
        return False
    partial = [place for place, likeness in enumerate(found) if likeness == 1]
    rest = [place for place, likeness in enumerate(found) if likeness == 0]
    return mean(partial) < mean(rest)


def test_the_order_of_likeness_holds(served: Served, client: Client) -> None:
    """For at least 90% of the pictures the same kind, colours and pattern come first, then what shares some of them."""
    kinds = read_kinds(served.shop)
    held = []
    for path, row in served.shop.truth.items():
        own = (row["shop"], row["product_id"])
        exact = sum(kinds[own].likeness(kind) == 2 for other, kind in kinds.items() if other != own)
        if exact:
            found = likenesses(client, served.shop.images / path, own, kinds)
            held.append(order_holds(found, exact))
    assert len(held) > 500
    assert sum(held) / len(held) >= 0.9


def test_striped_sweaters(served: Served, client: Client) -> None:
    """For every picture of a striped black-and-white sweater another striped black-and-white sweater comes first."""
    kinds = read_kinds(served.shop)
    wanted = Kind("sweater", frozenset({"black", "white"}), "striped")
    paths = [path for path, row in served.shop.truth.items() if kinds[row["shop"], row["product_id"]] == wanted]
    assert len(paths) >= 6
    for path in paths:
        row = served.shop.truth[path]
        found = likenesses(client, served.shop.images / path, (row["shop"], row["product_id"]), kinds)
        assert found[0] == 2


def test_sentences_find_what_they_say(served: Served, client: Client) -> None:
    """A sentence in a shop's words finds products of that kind and colour."""
    hits = client.search_by_text("striped sweater in black and white", top_k=3).hits
    kinds = read_kinds(served.shop)
    assert {kinds[hit.product.shop, hit.product.product_id].kind for hit in hits} == {"sweater"}
    assert kinds[hits[0].product.shop, hits[0].product.product_id].pattern == "striped"


def test_sentence_beside_picture(served: Served, client: Client) -> None:
    """A sentence beside a picture brings what it says to the front of what looks like it."""
    kinds = read_kinds(served.shop)
    path = first_picture(served, "sneaker")
    own = next(row for row in served.shop.truth.values() if row["kind"] == "sneaker")
    (colour,) = next(
        kind.colours
        for kind in kinds.values()
        if kind.kind == "sneaker" and kind.pattern == "plain" and not kind.colours & set(own["colours"])
        if len(kind.colours) == 1
    )

    def first_of_that_colour(sentence: str | None) -> int:
        hits = client.search_by_image(path, sentence=sentence, top_k=100).hits
        found = [kinds[hit.product.shop, hit.product.product_id] for hit in hits]
        return next(i for i, kind in enumerate(found) if kind.kind == "sneaker" and colour in kind.colours)

    assert first_of_that_colour(f"{colour} sneaker") < first_of_that_colour(None)


@dataclass(frozen=True)
class Found:
    """A product that a question found: what it scored, how similar it is, and whether it was asked for."""

    score: float
    similarity: float
    right: bool


def ask_for_products(served: Served, client: Client, kind: str) -> list[Found]:
    """Asks for every second product by its first picture, by what the shop says of it, or by both.

    What is said is the title for one half, a short phrase as "orange dresses" for the other. Of the product itself the
    other pictures count: of the one that asks nobody doubts that it fits.
    """
    products = [json.loads(line) for line in served.shop.catalog.read_text().splitlines()]
    forms = [(p["title"], f"{p['attributes']['colour']} {p['category_path'][-1]}".lower()) for p in products]
    said = {product["product_id"]: form for product, form in zip(products, forms, strict=True)}
    found = []
    for place, product in enumerate(products[::2]):
        form, own, asking = place % 2, product["product_id"], product["pictures"][0]
        sentence = said[own][form] if "text" in kind else None
        if kind == "text":
            hits = client.search_by_text(sentence or "", group_by_product=False, top_k=40).hits
        else:
            path = served.shop.images / asking["path"]
            hits = client.search_by_image(path, sentence=sentence, group_by_product=False, top_k=40).hits
        best: dict[str, Found] = {}
        for hit in hits:
            name = hit.product.product_id
            if kind == "text" or (name, hit.picture.id) != (own, asking["id"]):
                right = name == own or (kind == "text" and said[name][form] == sentence)
                best.setdefault(name, Found(hit.score, hit.similarity, right))
        found += list(best.values())[:10]
    return found


def share_wrong(found: list[Found]) -> float:
    assert len(found) > 100
    return mean([int(not one.right) for one in found])


def test_one_min_score_for_every_question(served: Served, client: Client) -> None:
    """At one score pictures, sentences and both let a like share of wrong products through, at one similarity not.

    Not the same: with a phrase alone all products of which it is true are right, beside a picture one alone.
    """
    found = {kind: ask_for_products(served, client, kind) for kind in ("image", "text", "image+text")}
    for cut in (0.8, 0.9):
        wrong = [share_wrong([one for one in found[kind] if one.score >= cut]) for kind in found]
        assert max(wrong) - min(wrong) < 0.2, (cut, wrong)
    plain = [share_wrong([one for one in found[kind] if one.similarity >= 0.7]) for kind in found]
    assert max(plain) - min(plain) > 0.25, plain


def first_picture(served: Served, kind: str) -> Path:
    return served.shop.images / next(path for path, row in served.shop.truth.items() if row["kind"] == kind)


def test_named_picture_is_its_bytes(served: Served, client: Client) -> None:
    """A picture named by its product gets the answer that its bytes get."""
    path, row = next(iter(served.shop.truth.items()))
    by_bytes = client.search_by_image(served.shop.images / path)
    by_name = client.search_by_image(IndexedPicture(row["shop"], row["product_id"], row["picture_id"]))
    assert [hit.product.product_id for hit in by_name.hits] == [hit.product.product_id for hit in by_bytes.hits]
    assert by_name.hits[0].similarity == pytest.approx(1, abs=1e-3)
    assert 0.9 < by_name.hits[0].score <= 1


def test_filters_hold(served: Served, client: Client) -> None:
    """Hits pass every filter at once."""
    path = first_picture(served, "boot")
    everything = client.search_by_image(path, top_k=50).hits
    brand = everything[3].product.brand
    hits = client.search_by_image(path, top_k=50, filter=Filter(brands=(brand.upper(),), in_stock=True)).hits
    assert hits
    assert {hit.product.brand for hit in hits} == {brand}
    assert {str(hit.product.availability) for hit in hits} <= {"in_stock", "preorder"}


def test_classify(served: Served, client: Client) -> None:
    """The bundle's own classes and the caller's labels are scored, each set to a sum of 1 at most."""
    path = first_picture(served, "watch")
    result = client.classify(path, label_sets=["imagenet"], labels=["watch", "dress", "boot"], top_k=3)
    imagenet, mine = result.classifications
    assert imagenet.label_set == "imagenet"
    assert any("watch" in label.label or "clock" in label.label for label in imagenet.labels)
    assert mine.labels[0].label == "watch"
    assert sum(label.score for label in mine.labels) == pytest.approx(1, abs=1e-4)


def test_second_index_embeds_nothing(served: Served) -> None:
    """The same catalog again is unchanged, every picture of it."""
    shop = served.shop
    report = json.loads(must_sosie("index", shop.catalog, "--images", shop.images, "--json", *served.places()))
    assert (report["unchanged"], report["indexed"], report["rewritten"]) == (len(shop.truth), 0, 0)


def test_commands_find_the_stack(served: Served, tmp_path: Path) -> None:
    """Commands run beside the state folder find the stack, and print for programs and for people."""
    (tmp_path / ".sosie").symlink_to(served.state)
    photo = first_picture(served, "bag")
    answer = json.loads(must_sosie("search", photo, "--json", cwd=tmp_path))
    assert answer["hits"]
    assert "bag" in must_sosie("search", "--text", "a bag", cwd=tmp_path)
    assert "0." in must_sosie("classify", photo, cwd=tmp_path)
    checks = json.loads(must_sosie("doctor", "--json", cwd=tmp_path))
    assert [check["name"] for check in checks if check["ok"]] == ["triton", "index", "space", "gateway"]
    sheet = tmp_path / "sheet.html"
    must_sosie("search", photo, "--html", sheet, "--catalog", served.shop.catalog, "--images", served.shop.images,
               cwd=tmp_path)  # fmt: skip
    assert sheet.read_text().count("data:image/") > 5


def test_wrong_paths_get_one_line(served: Served, tmp_path: Path) -> None:
    """Wrong or missing paths are one line on standard error, never a traceback."""
    gateway = ("--address", served.stack.addresses["gateway"])
    for arguments in (
        ("search", tmp_path / "absent.jpg", *gateway),
        ("classify", tmp_path, *gateway),
        ("index", tmp_path / "absent.jsonl", "--images", tmp_path, *served.places()),
        ("index", served.shop.catalog, "--images", tmp_path / "absent", *served.places()),
        ("search", "--text", "boots", "--address", "127.0.0.1:9"),
        ("local", "up", "--models", tmp_path / "absent", "--state", tmp_path / "state"),
        ("models", "fit", "--catalog", tmp_path / "absent.jsonl", "--images", tmp_path),
    ):
        done = run_sosie(*arguments)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1
        assert "Traceback" not in done.stderr + done.stdout


def damaged() -> Iterator[tuple[bytes, str]]:
    yield b"", "image"
    yield b"not a picture", "image"
    yield b"\xff\xd8\xff\xe0" + bytes(100), "image"


@pytest.mark.parametrize(("data", "field"), list(damaged()))
def test_bad_pictures(client: Client, data: bytes, field: str) -> None:
    """What is no picture is the caller's mistake, with its field."""
    with pytest.raises(InvalidRequest) as caught:
        client.search_by_image(data)
    violations: Any = caught.value.violations
    assert violations[0].field.startswith(field)
