"""Declarations and what is said of wrong ones."""

from pathlib import Path

import pytest

from sosie.crawler.shops.declaration import read_shop
from sosie.crawler.shops.located import MAX_BYTES, DeclarationError

GOOD = """\
shop: kicks
hosts: [kicks.example]
currency: EUR
fields:
  title: {css: h1}
  price:
    - {css: .price, regex: '[\\d.]+'}
    - value: "5"
"""


def refuse(folder: Path, text: str) -> str:
    path = folder / "shop.yaml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        read_shop(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_good(tmp_path: Path) -> None:
    """One rule may stand for a list of them, and categories may be written as one text."""
    path = tmp_path / "shop.yaml"
    path.write_text(GOOD + "categories:\n  Sneaker: Men > Shoes\n")
    shop = read_shop(path)
    assert [str(rule) for rule in shop.fields.title or ()] == ["css h1"]
    assert [str(rule) for rule in shop.fields.price or ()] == ["css .price", "value 5"]
    assert shop.categories == {"Sneaker": ["Men", "Shoes"]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("currency: EUR", "currency: EURO", ":3: currency: must be an active ISO 4217 code such as EUR"),
        ("currency: EUR", "curency: EUR", ":3: curency is not known here: did you mean currency?"),
        ("shop: kicks\n", "", ":1: shop is missing"),
        ("{css: h1}", "{css: 'h1[['}", ":5: fields.title.css: is no CSS selector: "),
        ("{css: h1}", "{xpath: '//h1['}", ":5: fields.title.xpath: is no XPath expression: Invalid expression"),
        ("{css: h1}", "{json_ld: 'a..b'}", ":5: fields.title.json_ld: is no JMESPath expression: "),
        ("{css: h1}", "{css: h1, xpath: //h1}", ":5: fields.title: a rule names one of css, xpath"),
        ("{css: h1}", "{}", ":5: fields.title: a rule names one of css, xpath"),
        ("{css: h1}", "{css: h1, regexp: x}", ":5: fields.title.regexp is not known here: did you mean regex?"),
        ("'[\\d.]+'", "'[\\d.+'", ":7: fields.price.0.regex: is no regular expression: "),
        ('value: "5"', "value: 5", ":8: fields.price.1.value: input should be a valid string, is 5"),
        ("title:", "titel:", ":5: fields.titel is not known here: did you mean title?"),
        ("hosts: [kicks.example]", "hosts: []", ":2: hosts: list should have at least 1 item"),
        ("currency: EUR", "currency: NO", ":3: currency: input should be a valid string, is False"),
        ("currency: EUR", "shop: again", ":3: is not YAML: 'shop' stands here twice"),
        ("currency: EUR", "currency: *money", ":3: is not YAML: aliases such as *money are not taken"),
        ("currency: EUR", "currency: [EUR", "is not YAML: "),
        ("currency: EUR", "currency: !!python/object:os.system x", "is not YAML: "),
        ("currency: EUR", "currency: 2026-13-45", "is not YAML: month must be in 1..12"),
        (
            "currency: EUR",
            "paging: {parameter: page, next: {css: a}}",
            ":3: paging: paging names either a parameter or",
        ),
        ("currency: EUR", "listings: [{url: /men}]", ":3: listings.0.url: must be an absolute http or https address"),
        (
            "currency: EUR",
            "listings: [{url: 'http://a.example/'}]",
            ":1: the declaration: a shop with listings needs links",
        ),
    ],
)
def test_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """A message names the line and what is wrong there."""
    assert old in GOOD
    assert message in refuse(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_no_mapping(tmp_path: Path, text: str) -> None:
    """What is no mapping is told what a declaration begins with."""
    assert refuse(tmp_path, text) == ":1: a declaration has keys such as shop and hosts at its top"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"[" * 100_000, b"a: " * 50_000, b"x" * (MAX_BYTES + 1), b"\x00", b"? a"]
)
def test_hostile(tmp_path: Path, content: bytes) -> None:
    """Whatever bytes a declaration has, it is refused in one line."""
    path = tmp_path / "shop.yaml"
    path.write_bytes(content)
    with pytest.raises(DeclarationError, match=r"\A[^\n]+\Z"):
        read_shop(path)


def test_no_file(tmp_path: Path) -> None:
    """A declaration that is not there is named."""
    with pytest.raises(DeclarationError, match="cannot be read: No such file"):
        read_shop(tmp_path / "none.yaml")
