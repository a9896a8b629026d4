"""Cleaning: texts in one form, aliases, and what is told of it."""

import doctest
import pickle
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from indexer_fixtures import make_product
from sosie.indexer.cleaning import categories, text
from sosie.indexer.cleaning.aliases import Aliases
from sosie.indexer.cleaning.categories import CategoryMap
from sosie.indexer.cleaning.cleaner import RULES, Cleaner
from sosie.indexer.cleaning.tables import MAX_FILE_BYTES, TableError
from sosie.indexer.cleaning.text import tidy, tidy_lines
from sosie.indexer.entry import Change
from sosie.v1 import product_pb2


def make(**fields: Any) -> product_pb2.Product:
    return json_format.ParseDict({**make_product(), **fields}, product_pb2.Product())


def write_aliases(folder: Path, content: str) -> Path:
    path = folder / "aliases.toml"
    path.write_text(content)
    return path


@pytest.mark.parametrize("module", [text, categories])
def test_examples(module: Any) -> None:
    """What a docstring shows is what the function gives."""
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("written", "tidied"),
    [
        ("Suede boot", "Suede boot"),
        ("  Suede \t boot\n", "Suede boot"),
        ("Suede\u00a0\u2009boot\u3000", "Suede boot"),
        ("Cafe\u0301", "Café"),
        ("e\u200b\u0301", "é"),
        ("A\u030angstro\u0308m", "Ångström"),
        ("\u1100\u1161", "가"),
        ("\ufeffSue\u00adde\u200b \x07boot\x85", "Suede boot"),
        ("\u202eboot\u202c", "boot"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\U0001f469\u200d\U0001f9b0", "\U0001f469\u200d\U0001f9b0"),
        ("ﬁne １００%", "ﬁne １００%"),
        ("\u200b", ""),
    ],
)
def test_tidy(written: str, tidied: str) -> None:
    """Blanks are single and plain, what cannot be seen is gone, letters are composed; joiners and letter forms stay."""
    assert tidy(written) == tidied


def test_tidy_lines() -> None:
    """A description keeps its lines, whatever ends them, and at most one empty one in a row."""
    assert tidy_lines("Soft. \r\n\u2028\n\n  Warm,\u00a0 light.\r\n") == "Soft.\n\nWarm, light."


@given(st.text())
def test_what_is_tidy_stays(written: str) -> None:
    """To tidy twice is to tidy once."""
    for put_right in (tidy, tidy_lines):
        once = put_right(written)
        assert put_right(once) == once


def test_every_text_is_tidied_and_told() -> None:
    """Each text field is put right and listed with what it was; keys, paths and addresses stay as they are."""
    product = make(
        shop="norden ",
        product_id="p\u00a01",
        title=" Boot",
        brand="Norden\u200b",
        category_path=["Women ", "Shoes"],
        description="Soft.\r\n",
        pictures=[{"id": "1 ", "path": "cafe\u0301.jpg", "url": "https://norden.example/1", "view": " front"}],
        attributes={"colour\u00a0": "brown ", "size": "9"},
    )
    changes = Cleaner().clean(product)
    assert changes == [
        Change("unicode", "title", " Boot", "Boot"),
        Change("unicode", "brand", "Norden\u200b", "Norden"),
        Change("unicode", "description", "Soft.\r\n", "Soft."),
        Change("unicode", "category_path[0]", "Women ", "Women"),
        Change("unicode", "pictures[0].view", " front", "front"),
        Change("unicode", "attributes['colour\\xa0'] (its name)", "colour\u00a0", "colour"),
        Change("unicode", "attributes['colour']", "brown ", "brown"),
    ]
    assert dict(product.attributes) == {"colour": "brown", "size": "9"}
    assert (product.shop, product.product_id) == ("norden ", "p\u00a01")
    assert (product.pictures[0].id, product.pictures[0].path) == ("1 ", "cafe\u0301.jpg")
    assert Cleaner().clean(product) == []


def test_an_attribute_keeps_its_place() -> None:
    """An attribute whose tidied name is taken stays as it is written: neither value is lost."""
    product = make(attributes={"colour": "brown", "colour ": "red"})
    assert Cleaner().clean(product) == []
    assert dict(product.attributes) == {"colour": "brown", "colour ": "red"}


ALIASES = """
[brands]
adidas = ["adidas Originals", "Adidas Performance"]
"H&M" = ["Hennes & Mauritz", "H & M"]

[titles]
"T-shirt" = ["tee shirt", "tshirt", "tee"]
"" = ["NEW!", "*sale*"]
"""


@pytest.mark.parametrize(
    ("written", "brand"),
    [
        ("adidas Originals", "adidas"),
        ("ADIDAS  ORIGINALS®", "adidas"),
        ("ＡＤＩＤＡＳ", "adidas"),
        ("h & m", "H&M"),
        ("adidas Originals by Nobody", "adidas Originals by Nobody"),
        ("", ""),
    ],
)
def test_brands_have_one_form(written: str, brand: str, tmp_path: Path) -> None:
    """A brand's spellings, in any letter case, become its name; a brand that the file does not know stays."""
    cleaner = Cleaner(Aliases.read(write_aliases(tmp_path, ALIASES)))
    product = make(brand=written)
    assert [change.rule for change in cleaner.clean(product) if change.rule == "brand"] == ["brand"] * (
        written != brand
    )
    assert product.brand == brand


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Red Tee Shirt, striped", "Red T-shirt, striped"),
        ("TSHIRT", "T-shirt"),
        ("t-shirt", "t-shirt"),
        ("Steel toe boot", "Steel toe boot"),
        ("NEW! Boot *SALE*", "Boot"),
        ("NEW!", "NEW!"),
    ],
)
def test_titles_have_one_form(written: str, title: str, tmp_path: Path) -> None:
    """A phrase is replaced where it stands alone, the longest first, and never so that no title is left."""
    product = make(title=written)
    changes = Cleaner(Aliases.read(write_aliases(tmp_path, ALIASES))).clean(product)
    assert product.title == title
    assert changes == ([] if written == title else [Change("title", "title", written, title)])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[brands\n", "is not TOML"),
        ("[brand]\n", "'brand' is not known here, expected brands or titles"),
        ("brands = 5", "brands must be a table, written"),
        ("[brands]\nadidas = 'Adidas'", "must be a list of texts"),
        ("[brands]\nadidas = [5]", "must be a list of texts"),
        ("[brands]\n'' = ['x']", "a brand needs a name"),
        ("[brands]\nadidas = [' ']", "'adidas' has an empty spelling"),
        ("[brands]\na = ['X']\nb = ['x']", "'x' belongs to 'a' and to 'b'"),
        ("[brands]\na = ['b']\nb = ['c']", "'b' belongs to 'a' and to 'b'"),
    ],
)
def test_a_faulty_alias_file_is_refused(content: str, problem: str, tmp_path: Path) -> None:
    """What is wrong with the file is said in one line that names it."""
    path = write_aliases(tmp_path, content)
    with pytest.raises(TableError, match=problem) as caught:
        Aliases.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """A file that is missing, too large or not text is refused by its name."""
    large, binary = tmp_path / "large.toml", tmp_path / "binary.toml"
    large.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    binary.write_bytes(b"\xff\xd8")
    for path, problem in ((tmp_path / "none", "No such file"), (large, "more than"), (binary, "not UTF-8")):
        with pytest.raises(TableError, match=problem):
            Aliases.read(path)


def test_a_cleaner_travels(tmp_path: Path) -> None:
    """A cleaner that was pickled cleans as before, so that other processes may have it."""
    cleaner = Cleaner(Aliases.read(write_aliases(tmp_path, ALIASES)), CategoryMap())
    product = make(title="A tee", brand="H & M")
    changes = pickle.loads(pickle.dumps(cleaner)).clean(product)  # noqa: S301 - our own
    assert [change.rule for change in changes] == ["brand", "title"]
    assert {change.rule for change in changes} <= set(RULES)
