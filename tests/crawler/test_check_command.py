"""`sosie crawl check`."""

import json
import re
from pathlib import Path

import pytest

from sosie.client.cli import main
from sosie.crawler.shops.declaration import Shop
from sosie.crawler.shops.rules import SOURCES

PAGES = Path(__file__).parent / "pages"
PAGE = (Path(__file__).parents[2] / "docs" / "shops.md").read_text()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["crawl", "check", *arguments]))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_product(capsys: pytest.CaptureFixture[str]) -> None:
    """A product page shows what each rule finds, what finds nothing, and what becomes of it."""
    assert run("sneakerbaas", str(PAGES / "sneakerbaas.html"), "--listing", "Men") == 0
    table = re.sub(" +", " ", capsys.readouterr().out)
    assert "title microdata name 'Runner 90 \"Dune\"'" in table
    assert "category listing 2: 'Men'" in table
    assert table.endswith("product 'SB-10442', pictures: 3\n")


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    """A page that another shop's rules are tried on is rejected, each rule with nothing."""
    assert run("footshop", str(PAGES / "superkicks.html")) == 3
    table = re.sub(" +", " ", capsys.readouterr().out)
    assert "title microdata name nothing" in table
    assert "rejected: product_id must have 1 to 256 characters, has 0" in table


def test_listing(capsys: pytest.CaptureFixture[str]) -> None:
    """A listing page shows its links and the next page."""
    url = "https://www.sneakerbaas.com/collections/men"
    assert run("sneakerbaas", str(PAGES / "sneakerbaas-listing.html"), "--as", "listing", "--url", url) == 0
    assert capsys.readouterr().out.endswith(f"next: {url}?page=2\n")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a search's answer is one object, with a product or a reject for each hit."""
    assert run("highsnobiety", str(PAGES / "highsnobiety.json"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "search"
    assert [sorted({"product", "reject"} & set(page)) for page in told["pages"]] == [
        ["product"],
        ["reject"],
        ["reject"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "page.html"], "nobody is no file, and none of the shops that come with sosie: footshop, "),
        (["footshop", "https://www.footshop.com/"], "pages are not fetched yet: save https://www.footshop.com/ and"),
        (["footshop", "nowhere.html"], "nowhere.html: No such file or directory"),
        (
            ["footshop", str(PAGES / "footshop.html"), "--listing", "Hats"],
            "footshop declares no listing 'Hats', only: Men's",
        ),
        (["footshop", str(PAGES / "footshop.html"), "--as", "search"], "the page is no answer of the search API"),
        ([str(PAGES / "footshop.html"), str(PAGES / "footshop.html")], "footshop.html:"),
    ],
)
def test_failed(arguments: list[str], message: str) -> None:
    """What cannot be checked is told in one line."""
    with pytest.raises(SystemExit) as ended:
        main(["crawl", "check", *arguments])
    text = str(ended.value.code)
    assert text.startswith("sosie crawl check: ")
    assert message in text
    assert "\n" not in text


def test_documented() -> None:
    """The page names every key of a declaration and every source of a rule."""
    named = set(re.findall(r"`([\w-]+)`", PAGE))
    assert set(Shop.model_fields) <= named
    assert set(SOURCES) <= named
