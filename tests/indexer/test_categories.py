"""Category files: what they cover, what a shop's category becomes, and what is proposed for the rest."""

import argparse
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from indexer_fixtures import make_product
from sosie.indexer.cleaning import categories_command
from sosie.indexer.cleaning.categories import CategoryMap, split_path
from sosie.indexer.cleaning.cleaner import Cleaner
from sosie.indexer.cleaning.coverage import find_uncovered, format_toml
from sosie.indexer.cleaning.proposals import Proposer
from sosie.indexer.cleaning.tables import TableError
from sosie.indexer.entry import Change
from sosie.v1 import product_pb2

NORDEN = """
categories = ["Women > Shoes > Boots", "Women > Shoes > Sneakers", "Men > Tops > Hoodies"]

[shops.norden]
"Damen > Schuhe > Stiefel" = "Women > Shoes > Boots"
"Damen > Schuhe > *" = "Women > Shoes"
"Damen > Schuhe > Pflege > *" = ["Care", "Creams > Oils"]
"Geschenke" = true
"Restposten > *" = ""
"""


def save(folder: Path, content: str, name: str = "norden.toml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(content)
    return path


def save_catalog(folder: Path, *paths: str, shop: str = "norden") -> Path:
    products = [
        {**make_product(number), "shop": shop, "category_path": split_path(path)} for number, path in enumerate(paths)
    ]
    path = folder / "catalog.jsonl"
    path.write_text("\n".join(map(json.dumps, products)))
    return path


@pytest.mark.parametrize(
    ("shop", "written", "becomes"),
    [
        ("norden", "Damen > Schuhe > Stiefel", "Women > Shoes > Boots"),
        ("norden", "DAMEN > Schuhe > stiefel", "Women > Shoes > Boots"),
        ("norden", "Damen > Schuhe > Stiefel > Chelsea", "Women > Shoes"),
        ("norden", "Damen > Schuhe", None),
        ("norden", "Geschenke", "Geschenke"),
        ("norden", "Geschenke > Karten", None),
        ("norden", "Restposten > Alles", ""),
        ("norden", "women > shoes", "Women > Shoes"),
        ("norden", "Women > Shoes > Clogs", None),
        ("other", "Damen > Schuhe > Stiefel", None),
        ("other", "Men > Tops > Hoodies", "Men > Tops > Hoodies"),
    ],
)
def test_what_a_category_becomes(shop: str, written: str, becomes: str | None, tmp_path: Path) -> None:
    """An entry covers its category, one with * what is below; the house's own and their parents cover themselves."""
    categories = CategoryMap.read(save(tmp_path, NORDEN))
    path = split_path(written)
    assert categories.covers(shop, path) == (becomes is not None)
    assert categories.apply(shop, path) == (path if becomes is None else split_path(becomes))


def test_the_longest_parent_counts(tmp_path: Path) -> None:
    """Of two entries with * the one with more levels is taken, and a target may have > in a level."""
    categories = CategoryMap.read(save(tmp_path, NORDEN))
    assert categories.apply("norden", ["Damen", "Schuhe", "Pflege", "Fett"]) == ("Care", "Creams > Oils")


def test_a_folder_has_a_file_a_shop(tmp_path: Path) -> None:
    """All files of a folder count, and a shop's entries may stand in several."""
    save(tmp_path, '[shops.a]\nX = "Women"\n', "a.toml")
    save(tmp_path, '[shops.b]\nX = "Men"\n[shops.a]\nY = "Men"\n', "b.toml")
    categories = CategoryMap.read(tmp_path)
    assert [categories.apply(shop, [name]) for shop, name in (("a", "X"), ("b", "X"), ("a", "Y"))] == [
        ("Women",),
        ("Men",),
        ("Men",),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[shop.a]\n", "'shop' is not known here"),
        ("shops = 5", "shops must be a table"),
        ("[shops]\na = 5", r"shops.a must be a table, written \[shops.a\]"),
        ("categories = 'Women'", "categories must be a list of texts"),
        ("[shops.a]\nX = 5", "'X' must become a category"),
        ("[shops.a]\nX = false", "'X' must become a category"),
        ("[shops.a]\nX = ['']", "a category has at most 8 levels"),
        ("[shops.a]\nX = 'a>b>c>d>e>f>g>h>i'", "a category has at most 8 levels"),
        ("[shops.a]\n'>' = 'X'", "'>' is no category"),
        ("[shops.a]\n'*' = 'X'", "is no category"),
        ("[shops.a]\nX = 'A'\nx = 'B'", "'x' has two entries that differ"),
    ],
)
def test_a_faulty_category_file_is_refused(content: str, problem: str, tmp_path: Path) -> None:
    """What is wrong with the file is said in one line that names it."""
    path = save(tmp_path, content)
    with pytest.raises(TableError, match=problem) as caught:
        CategoryMap.read(path)
    assert str(path) in str(caught.value)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    """A folder that holds no category file is more likely the wrong one."""
    with pytest.raises(TableError, match=r"holds no file \*.toml"):
        CategoryMap.read(tmp_path)


def test_the_cleaner_maps_and_tells(tmp_path: Path) -> None:
    """A covered category is mapped once and listed; an uncovered one stays and is named."""
    cleaner = Cleaner(categories=CategoryMap.read(save(tmp_path, NORDEN)))
    product = json_format.ParseDict(make_product(), product_pb2.Product())
    product.category_path[:] = ["Damen\u00a0", "Schuhe", "Stiefel"]
    assert cleaner.clean(product)[1:] == [
        Change("category", "category_path", "Damen > Schuhe > Stiefel", "Women > Shoes > Boots")
    ]
    assert cleaner.find_unmapped(product) is None
    product.category_path[:] = ["Damen", "Stiefeletten"]
    assert cleaner.clean(product) == []
    assert cleaner.find_unmapped(product) == "Damen > Stiefeletten"
    assert cleaner.suggest("Damen > Stiefeletten")[0] == "Women > Shoes > Boots"
    assert Cleaner().find_unmapped(product) is None
    product.ClearField("category_path")
    assert cleaner.find_unmapped(product) is None


@pytest.mark.parametrize(
    ("category", "target"),
    [
        ("Women > Shoes > Boot", "Women > Shoes > Boots"),
        ("Shoes > Women's sneakers", "Women > Shoes > Sneakers"),
        ("Damen > Stiefel", "Women > Shoes > Boots"),
        ("Herren > Oberteile > Hoodies", "Men > Tops > Hoodies"),
        ("Women > Winter > Ankle boots", "Women > Shoes > Boots"),
        ("Damen > Stiefeletten", "Women > Shoes > Boots"),
    ],
)
def test_proposals(category: str, target: str, tmp_path: Path) -> None:
    """What is similar to one of the house's categories, or to one that is mapped already, is proposed first."""
    best, *others = Proposer(CategoryMap.read(save(tmp_path, NORDEN))).propose(category)
    assert best.target == split_path(target)
    assert 0.5 < best.score <= 1
    assert all(best.score >= other.score for other in others)
    assert len({best.target, *(other.target for other in others)}) == 1 + len(others)


def test_nothing_is_proposed_for_what_is_like_nothing(tmp_path: Path) -> None:
    """A category that shares little but letters with all others has no proposal, nor has any without category files."""
    proposer = Proposer(CategoryMap.read(save(tmp_path, NORDEN)))
    for category in ("Electronics > Chargers", "Women > Sweaters", "Women > Skirts", ""):
        assert proposer.propose(category) == [], category
    assert Proposer(CategoryMap()).propose("Women > Shoes") == []


def test_coverage_counts_products(tmp_path: Path) -> None:
    """Gaps are listed by shop, those with the most products first; what is not this shop's is left out."""
    categories = CategoryMap.read(save(tmp_path / "map", NORDEN))
    catalog = save_catalog(tmp_path, "Damen > Hosen", "Damen > Stiefel", "Damen > Stiefel ", "Women", "", "Geschenke")
    coverage = find_uncovered(catalog, categories)
    assert (coverage.products, coverage.covered, coverage.uncounted) == (6, 3, 0)
    assert [(gap.category, gap.products) for gap in coverage.gaps] == [("Damen > Stiefel", 2), ("Damen > Hosen", 1)]
    assert find_uncovered(catalog, categories, "other").products == 0


def test_proposals_are_entries(tmp_path: Path) -> None:
    """The proposed entries are a category file, which covers what had a proposal."""
    folder = tmp_path / "map"
    save(folder, NORDEN)
    catalog = save_catalog(tmp_path, "Damen > Stiefel", 'Damen > "Boots"', "Elektronik")
    toml = format_toml(find_uncovered(catalog, CategoryMap.read(folder)))
    assert tomllib.loads(toml)["shops"]["norden"]["Damen > Stiefel"] == "Women > Shoes > Boots"
    save(folder, toml, "proposed.toml")
    gaps = find_uncovered(catalog, CategoryMap.read(folder)).gaps
    assert [gap.category for gap in gaps] == ["Elektronik"]
    assert '# "Elektronik" = ""  # 1 product' in toml


def run(*arguments: Any) -> int:
    parser = argparse.ArgumentParser()
    categories_command.add_arguments(parser)
    return categories_command.run(parser.parse_args([*map(str, arguments)]))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints what is not covered as a table, as JSON or as entries, of one shop where one is named."""
    files = save(tmp_path / "map", NORDEN)
    catalog = save_catalog(tmp_path, "Damen > Stiefel", "Women")
    assert run(catalog, "--categories", files) == 0
    shown = capsys.readouterr()
    assert [re.split(r"\s{2,}", line) for line in shown.out.splitlines()] == [
        ["shop", "products", "category", "proposal", "score"],
        ["norden", "1", "Damen > Stiefel", "Women > Shoes > Boots", "1.00"],
    ]
    assert "1 of 2 products" in shown.err
    assert run(catalog, "--categories", files, "--json") == 0
    gap = json.loads(capsys.readouterr().out)
    assert (gap["category"], gap["proposals"][0]["category"]) == ("Damen > Stiefel", "Women > Shoes > Boots")
    assert run(catalog, "--categories", files, "--toml") == 0
    assert capsys.readouterr().out.startswith("[shops.")
    assert run(catalog, "--categories", files, "--shop", "other") == 0
    assert "every category is covered" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("catalog", "categories", "problem"), [("none.jsonl", None, "none.jsonl"), (".", "none.toml", "none.toml")]
)
def test_the_command_names_what_it_cannot_read(
    catalog: str, categories: str | None, problem: str, tmp_path: Path
) -> None:
    """A catalog or a category file that is not there ends the command with its name."""
    options = ["--categories", str(tmp_path / categories)] if categories else []
    with pytest.raises(SystemExit, match=rf"sosie catalog categories: .*{problem}"):
        run(tmp_path / catalog, *options)
