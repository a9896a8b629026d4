"""docs/cleaning.md says what cleaning does."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from documented import ROOT, read_blocks, read_table
from sosie.indexer.cleaning import categories_command, coverage, options
from sosie.indexer.cleaning.aliases import Aliases
from sosie.indexer.cleaning.categories import CategoryMap
from sosie.indexer.cleaning.clean_catalog import CleaningOptions
from sosie.indexer.cleaning.likeness import CELLS, MAX_BITS, MAX_COLOUR
from sosie.indexer.cleaning.merging import MergeRule
from sosie.indexer.cleaning.near_duplicates import Pair, PictureName

CLEANING = ROOT / "docs" / "cleaning.md"
PAGE = CLEANING.read_text()
ALIASES, CATEGORIES = read_blocks(CLEANING, "toml")


def write(folder: Path, content: str) -> Path:
    path = folder / "file.toml"
    path.write_text(content)
    return path


def test_the_alias_file(tmp_path: Path) -> None:
    """The alias file that the page shows is one, and does what the page says."""
    aliases = Aliases.read(write(tmp_path, ALIASES))
    assert aliases.brand("ADIDAS®") == "adidas"
    assert aliases.title("NEW! Tee shirt") == "T-shirt"


def test_the_category_file(tmp_path: Path) -> None:
    """The category file that the page shows is one, and each row of the page's table is an entry."""
    categories = CategoryMap.read(write(tmp_path, CATEGORIES))
    assert categories.apply("kaufhalle", ["Men", "Accessories", "Caps"]) == ("Men", "Accessories")
    entries = [entry.strip("`") for entry, _ in read_table(CLEANING, "| entry | means |")]
    for entry in entries:
        CategoryMap.read(write(tmp_path, f"[shops.x]\n{entry}\n"))
    content = "\n".join(["[shops.x]", entries[1], entries[4]])
    categories = CategoryMap.read(write(tmp_path, content))
    assert categories.apply("x", ["A", "B"]) == ("X", "Y > Z")
    assert categories.apply("x", ["A", "C"]) == ("X",)
    assert not categories.covers("x", ["A"])


def test_the_rules() -> None:
    """The table of rules has every rule of --merge."""
    assert [rule.strip("`") for rule, _ in read_table(CLEANING, "| rule | which line counts |")] == list(MergeRule)


def test_the_options() -> None:
    """Every option of the commands is on the page, and every mode."""
    for add_arguments in (options.add_arguments, categories_command.add_arguments):
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        names = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
        assert [name for name in names - {"--help"} if f"`{name}" not in PAGE and f" {name} " not in PAGE] == []
    assert all(f"{mode}`" in PAGE for mode in options.MODES)


def test_the_pair() -> None:
    """The pair that the page shows is one that the list may have."""
    (shown,) = read_blocks(CLEANING, "json")
    read = json.loads(shown)
    pair = Pair(**{**read, "picture": PictureName(**read["picture"]), "like": PictureName(**read["like"])})
    assert asdict(pair) == read
    assert list(asdict(pair)) == list(read)


def test_the_bounds() -> None:
    """The bounds that the page states are those of the code."""
    text = " ".join(PAGE.split())
    assert f"differ in at most {MAX_BITS} bits" in text
    assert f"none of {CELLS} x {CELLS} cells by more than {MAX_COLOUR} of 255 levels" in text
    assert f"Categories beyond {coverage.MAX_CATEGORIES:,} different ones" in text


def test_the_digest_tells_options_apart(tmp_path: Path) -> None:
    """Options that clean otherwise have another digest, and the same ones the same."""
    aliases = Aliases.read(write(tmp_path, ALIASES))
    categories = CategoryMap.read(write(tmp_path, CATEGORIES))
    made = [CleaningOptions(), CleaningOptions(aliases), CleaningOptions(categories=categories)]
    made += [CleaningOptions(merge=rule) for rule in MergeRule if rule != "first"]
    assert len({each.digest for each in made}) == len(made)
    assert CleaningOptions(aliases).digest == CleaningOptions(Aliases.read(write(tmp_path, ALIASES))).digest
