"""The dry run: what is said of each line, what that adds up to, and how the command ends."""

import argparse
import gzip
import json
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer_fixtures import SmallShop, make_shop
from sosie.indexer import catalog_command
from sosie.indexer.checking.prices import LEAST, MAX_CATEGORIES, Medians
from sosie.v1 import product_pb2

Spoil = Callable[[SmallShop], object]


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    return make_shop(tmp_path / "shop", 12, views=2)


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser(prog="sosie catalog")
    catalog_command.add_arguments(parser)
    return catalog_command.run(parser.parse_args([str(argument) for argument in arguments]))


def check(shop: SmallShop, *arguments: str | Path) -> int:
    shop.save()
    return run("check", shop.catalog, "--images", shop.images, *arguments)


def read_verdicts(shop: SmallShop) -> dict[int, dict[str, Any]]:
    """What the file says of each line."""
    lines = (shop.folder / "catalog.check.jsonl").read_text().splitlines()
    return {verdict["line"]: verdict for verdict in map(json.loads, lines)}


def test_a_faultless_catalog_is_fine(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to say of a catalog is status 0, nothing on standard error, and every line in the file as ok."""
    assert check(shop) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "24 pictures of 12 products in 12 lines",
        "",
        "verdict  lines",
        "ok          12",
        "",
        f"verdicts: {shop.folder / 'catalog.check.jsonl'}",
    ]
    assert err == ""
    assert {line: found["verdict"] for line, found in read_verdicts(shop).items()} == dict.fromkeys(range(1, 13), "ok")


def set_price(units: str, nanos: int = 0) -> Spoil:
    return lambda shop: shop.products[2].update(price={"currency_code": "EUR", "units": units, "nanos": nanos})


def set_path(view: int, path: str) -> Spoil:
    return lambda shop: shop.products[2]["pictures"][view].update(path=path)


def lose_both(shop: SmallShop) -> None:
    for picture in shop.products[2]["pictures"]:
        picture["path"] = "no.jpg"


def damage(shop: SmallShop) -> None:
    (shop.images / "2/1.jpg").write_bytes((shop.images / "2/1.jpg").read_bytes()[:200])


def copy_pixels(shop: SmallShop) -> None:
    (shop.images / "2/1.jpg").write_bytes((shop.images / "0/0.jpg").read_bytes() + b"\n")


ODD: dict[str, tuple[Spoil, str, str, str]] = {
    "no title": (lambda shop: shop.products[2].update(title=""), "rejected", "title", "title must have 1 to 512"),
    "no product": (lambda shop: shop.products[2].update(titel="x"), "rejected", "line", 'no field named "titel"'),
    "too long": (
        lambda shop: shop.products[2].update(
            attributes={f"{n:03}" + "n" * 50: "ß" * 256 for n in range(64)}, description="ß" * 10_000
        ),
        "rejected",
        "line",
        "at most 49,149 fit",
    ),
    "a second line": (
        lambda shop: shop.products[2].update(product_id="p0"),
        "rejected",
        "product repeated",
        "product_id is also that of line 1",
    ),
    "a missing picture": (set_path(1, "no.jpg"), "partial", "picture missing", "pictures[1].path names no file"),
    "no picture left": (lose_both, "rejected", "picture missing", "names no file in the pictures folder: 'no.jpg'"),
    "an empty picture": (
        lambda shop: (shop.images / "2/0.jpg").write_bytes(b""),
        "partial",
        "picture missing",
        "is empty",
    ),
    "a shared picture": (
        set_path(1, "0/0.jpg"),
        "doubtful",
        "picture shared",
        "pictures[1].path shows the same as line 1",
    ),
    "a price of nothing": (set_price("0"), "doubtful", "price zero", "price is 0"),
    "a price below nothing": (set_price("-5"), "rejected", "price.units", "price.units must be 0 to"),
    "ten times the price": (
        set_price("650"),
        "doubtful",
        "price high",
        "price is 650.00 EUR, the median of its category about",
    ),
    "two blanks": (
        lambda shop: shop.products[2].update(title="Suede\u00a0 boot"),
        "changed",
        "cleaned unicode",
        "title 'Suede\\xa0 boot' becomes 'Suede boot'",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_told(name: str, shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """A line with a fault or an oddity has its verdict, the reason that it is counted by, and the fault in words."""
    spoil, verdict, reason, text = ODD[name]
    spoil(shop)
    check(shop, "--json", "--max-rejects", "100%")
    found = read_verdicts(shop)
    assert found[3]["verdict"] == verdict
    assert {line["verdict"] for number, line in found.items() if number != 3} == {"ok"}
    assert {each["reason"] for each in found[3]["findings"]} == {reason}
    assert text in found[3]["findings"][0]["text"]
    report = json.loads(capsys.readouterr().out)
    counted = report["reasons"][reason]
    assert (counted["first_file"], counted["first_line"]) == ("catalog.jsonl", 3)
    assert counted["count"] == len(found[3]["findings"])
    assert (report["lines"], report["verdicts"][verdict]) == (12, 1)


@pytest.mark.parametrize(
    ("spoil", "verdict", "reason"),
    [(damage, "partial", "picture damaged"), (copy_pixels, "doubtful", "picture shared")],
)
def test_decoding_finds_more(spoil: Spoil, verdict: str, reason: str, shop: SmallShop) -> None:
    """A damaged picture, and one with the same pixels as another product's, are found by --decode alone."""
    spoil(shop)
    assert check(shop) == 0
    assert read_verdicts(shop)[3]["verdict"] == "ok"
    check(shop, "--decode")
    assert read_verdicts(shop)[3]["verdict"] == verdict
    assert read_verdicts(shop)[3]["findings"][0]["reason"] == reason


def test_the_counts_are_those_of_an_indexing(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """Rejected lines and pictures are counted as `sosie index` counts them, and compared with --max-rejects."""
    shop.products[0]["title"] = ""
    shop.products[1]["pictures"][0]["path"] = "no.jpg"
    assert check(shop, "--max-rejects", "2") == 0
    assert capsys.readouterr().err == "sosie catalog check: warning: 2 of 23 would be rejected\n"
    assert check(shop, "--max-rejects", "1") == 3
    assert capsys.readouterr().err == "sosie catalog check: 2 of 23 would be rejected: more than --max-rejects 1\n"


def test_strict_allows_no_doubt(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """With --strict a doubtful line is enough to fail; a cleaned one is not."""
    shop.products[0]["title"] += "\u00a0"
    assert check(shop, "--strict") == 0
    shop.products[0]["price"]["units"] = shop.products[0]["price"]["nanos"] = 0
    assert check(shop, "--strict") == 3
    assert capsys.readouterr().err.endswith("0 of 24 would be rejected: --strict allows no reject and no doubt\n")


def test_the_table_tells_the_first_of_each_reason(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """Reasons are listed by how often they are met, each with its first place."""
    for number in (4, 5):
        shop.products[number]["pictures"][1]["path"] = "n"
    shop.products[1]["brand"] = "b" * 129
    check(shop, "--max-rejects", "50%")
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("reason           count  verdict   first") :][:3] == [
        "reason           count  verdict   first",
        "picture missing      2  partial   catalog.jsonl:5: pictures[1].path names no file in the pictures folder: 'n'",
        "brand                1  rejected  catalog.jsonl:2: brand must have at most 128 characters, has 129",
    ]


def test_unmapped_categories_come_with_suggestions(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """A category that the category files do not cover is counted, with what it may become."""
    categories = shop.folder / "categories.toml"
    categories.write_text(
        '[shops.norden]\n"Women > Shoes" = "Shoes > Women\'s shoes"\n"Women > Boots" = "Shoes > Boots"\n'
    )
    for number in (3, 7):
        shop.products[number]["category_path"] = ["Women", "Ankle boots"]
    check(shop, "--categories", categories, "--json")
    (unmapped,) = json.loads(capsys.readouterr().out)["unmapped_categories"]
    assert (unmapped["category"], unmapped["count"]) == ("Women > Ankle boots", 2)
    assert unmapped["suggestions"][0] == "Shoes > Boots"
    check(shop, "--categories", categories)
    assert "Women > Ankle boots      2  Shoes > Boots" in capsys.readouterr().out


def test_pictures_that_look_alike_are_listed(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """With --near-duplicates the pairs are in a file of their own, which the summary names."""
    copy_pixels(shop)
    check(shop, "--near-duplicates", "report")
    last = capsys.readouterr().out.splitlines()[-1]
    listed = shop.folder / "catalog.check.near-duplicates.jsonl"
    assert last == f"pairs of pictures that look alike: 1, in {listed}"
    assert len(listed.read_text().splitlines()) == 1


def test_a_folder_is_checked_file_by_file(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder's files count together, the verdicts are beside it, and what is no catalog is told of."""
    parts = shop.folder / "parts"
    parts.mkdir()
    for number in range(2):
        lines = "".join(json.dumps(product) + "\n" for product in shop.products[number * 6 : number * 6 + 6])
        (parts / f"{number}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (parts / "notes.txt").write_text("...")
    assert run("check", parts, "--images", shop.images, "--json") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["files"], report["lines"]) == (2, 12)
    assert report["verdicts_file"] == str(shop.folder / "parts.check.jsonl")
    assert err == "sosie catalog check: warning: files of other kinds that are left out: 1, the first is notes.txt\n"


def test_without_pictures_none_is_looked_at(shop: SmallShop) -> None:
    """A catalog can be checked where its pictures are not."""
    shop.products[0]["pictures"][0]["path"] = "no.jpg"
    shop.save()
    assert run("check", shop.catalog) == 0
    assert read_verdicts(shop)[1]["verdict"] == "ok"


MISTAKES: dict[str, tuple[Callable[[SmallShop], list[Any]], str]] = {
    "no catalog": (lambda s: [s.folder / "no.jsonl"], "no.jsonl: No such file"),
    "no pictures": (lambda s: [s.catalog, "--images", s.folder / "no"], "no: No such file"),
    "the catalog as verdicts": (lambda s: [s.catalog, "--out", s.catalog], "is a file of the catalog"),
    "no folder for verdicts": (lambda s: [s.catalog, "--out", s.folder / "no/v"], "no folder for the verdicts"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_line(name: str, shop: SmallShop) -> None:
    """What cannot work ends with one line that begins with the command's name."""
    arguments, problem = MISTAKES[name]
    with pytest.raises(SystemExit) as ended:
        run("check", *arguments(shop))
    assert str(ended.value.code).startswith("sosie catalog check: ")
    assert problem in str(ended.value.code)
    assert "\n" not in str(ended.value.code)


@pytest.mark.parametrize("option", [["--decode"], ["--near-duplicates", "report"]])
def test_what_needs_pictures_asks_for_them(
    option: list[str], shop: SmallShop, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that looks into pictures is wrong usage without their folder."""
    with pytest.raises(SystemExit) as ended:
        run("check", shop.catalog, *option)
    assert ended.value.code == 2
    assert "give --images DIR" in capsys.readouterr().err


def make_priced(amount: float, category: str = "Shoes", currency: str = "EUR") -> product_pb2.Product:
    product = product_pb2.Product(shop="norden", category_path=[category])
    product.price.currency_code = currency
    product.price.units = int(amount)
    product.price.nanos = round((amount - int(amount)) * 10**9)
    return product


@pytest.mark.parametrize("seed", range(5))
def test_a_median_is_within_five_percent(seed: int) -> None:
    """Whatever the prices, the median is that of all of them to 5%, in each category and currency by itself."""
    random.seed(seed)
    prices = [round(random.lognormvariate(random.choice([3, 6]), 1), 2) + 0.01 for _ in range(501)]
    medians = Medians()
    for price in prices:
        medians.note(make_priced(price))
        medians.note(make_priced(price * 1000, "Rings"))
        medians.note(make_priced(price * 100, currency="JPY"))
    assert medians.find(make_priced(1)) == pytest.approx(statistics.median(prices), rel=0.05)
    assert medians.find(make_priced(1, "Rings")) == pytest.approx(statistics.median(prices) * 1000, rel=0.05)
    assert medians.find(make_priced(1, currency="JPY")) == pytest.approx(statistics.median(prices) * 100, rel=0.05)


def test_few_prices_are_no_measure() -> None:
    """A category with fewer prices than it takes has no median; free products do not count."""
    medians = Medians()
    for _ in range(LEAST - 1):
        medians.note(make_priced(5))
        medians.note(make_priced(0))
    assert medians.find(make_priced(5)) is None
    medians.note(make_priced(5))
    assert medians.find(make_priced(5)) == pytest.approx(5, rel=0.05)


def test_a_narrow_category_is_judged_by_a_wider_one() -> None:
    """Where a category has few prices, those of all that is beside it count; another shop's do not."""
    medians = Medians()
    for number in range(LEAST):
        product = make_priced(50)
        product.category_path.append(str(number))
        medians.note(product)
    assert medians.find(product) == pytest.approx(50, rel=0.05)
    product.shop = "other"
    assert medians.find(product) is None


def test_categories_without_end_take_no_memory_without_end() -> None:
    """Beyond a number of categories further ones are not judged, and counted."""
    medians = Medians()
    for number in range(MAX_CATEGORIES + 7):
        medians.note(make_priced(5, str(number)))
    assert medians.unjudged == 7
