"""docs/indexing.md says what the command does."""

import argparse
import json
import re
from pathlib import Path

from sosie.engine.store import MAX_PAYLOAD
from sosie.indexer import command
from sosie.indexer.catalog import Catalog
from sosie.indexer.entry import Entry
from sosie.indexer.rejects import Reject

PAGE = (Path(__file__).parents[2] / "docs" / "indexing.md").read_text()
PRODUCT, REJECT = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_the_documented_product_is_valid(tmp_path: Path) -> None:
    """The product that the page shows is one that the indexer takes."""
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text(json.dumps(json.loads(PRODUCT)))
    (found,) = Catalog(catalog)
    assert isinstance(found, Entry), found


def test_the_documented_reject_is_one(tmp_path: Path) -> None:
    """The reject that the page shows is what such a line gives."""
    catalog = tmp_path / "catalog.jsonl"
    product = {**json.loads(PRODUCT), "product_id": "AT-00004", "title": ""}
    catalog.write_text("\n\n\n\n" + json.dumps(product))
    assert list(Catalog(catalog)) == [Reject(**json.loads(REJECT))]


def test_every_option_is_documented() -> None:
    """The page's table has every option of the command and no other, and the payload's bound."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    assert set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE)) == options - {"--help"}
    assert f"{MAX_PAYLOAD:,} bytes" in PAGE
