"""`sosie crawl feed`, and the lines that it writes."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from feed_files import BASE, FEEDS, YANDEX, read_products
from sosie.crawler import crawl_command
from sosie.crawler.catalog_lines import to_line
from sosie.crawler.drafts import picture_id
from sosie.v1 import product_pb2

NAMELESS = f"<offer id='7'><picture>{BASE}/1.jpg</picture></offer>"


def crawl(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    crawl_command.add_arguments(parser)
    return crawl_command.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    path = tmp_path / "north.xml"
    path.write_text(YANDEX)
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_catalog(feed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The catalog has a line for each offer, with the pictures' addresses and no path; the summary counts them."""
    assert crawl("feed", feed, "--shop", "north") == 0
    lines = read_lines(feed.with_name("north.catalog.jsonl"))
    assert [line["product_id"] for line in lines] == ["B-38", "B-39"]
    url = f"{BASE}/i/b-1.jpg"
    assert lines[0]["pictures"][0] == {"id": picture_id(url), "url": url}
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "2 products of 2 offers, 4 pictures to be fetched"
    assert printed[-1] == f"catalog: {feed.with_name('north.catalog.jsonl')}"
    assert sorted(path.name for path in feed.parent.iterdir()) == [
        "north.catalog.jsonl",
        "north.catalog.report.json",
        "north.xml",
    ]


def test_report(feed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report says what was read, what fell out and which fields are filled; --json prints the same."""
    feed.write_text(YANDEX.replace("</offers>", NAMELESS + "</offers>"))
    assert crawl("feed", feed, "--shop", "north", "--max-rejects", "1", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(feed.with_name("north.catalog.report.json").read_text())
    assert (report["format"], report["offers"], report["products"], report["variants"]) == ("yandex", 3, 2, 2)
    assert (report["rejected"], report["rejects"]) == (1, {"title": 1})
    assert report["coverage"]["price"] == 1.0
    (reject,) = read_lines(feed.with_name("north.catalog.rejects.jsonl"))
    assert (reject["source"], reject["product_id"], reject["field"]) == ("north.xml, offer 3", "7", "title")


def test_too_many_rejects(feed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With more rejects than allowed the catalog of an earlier run stays, and the exit status is 3."""
    catalog = feed.with_name("mine.jsonl")
    catalog.write_text("earlier")
    feed.write_text(YANDEX.replace("</offers>", NAMELESS + "</offers>"))
    assert crawl("feed", feed, "--shop", "north", "--out", catalog) == 3
    assert catalog.read_text() == "earlier"
    assert len(read_lines(feed.with_name("mine.rejects.jsonl"))) == 1
    assert "1 rejects among 3 offers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (YANDEX[:900], "is not well-formed XML"),
        ("<yml_catalog/>", "has no offers"),
        ("<html/>", "is no feed that is known"),
    ],
)
def test_bad_feeds(feed: Path, text: str, said: str) -> None:
    """A feed that cannot be read ends with one line that names it, and leaves no catalog."""
    feed.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        crawl("feed", feed, "--shop", "north")
    assert str(stopped.value).startswith(f"sosie crawl feed: {feed} {said}")
    assert "\n" not in str(stopped.value)
    assert [path.name for path in feed.parent.iterdir()] == ["north.xml"]


def test_addresses_are_refused() -> None:
    """A feed's address is refused with what to do instead."""
    with pytest.raises(SystemExit, match=r"reads files only: fetch https://shop\.example/feed\.xml"):
        crawl("feed", "https://shop.example/feed.xml", "--shop", "north")


def test_no_file(tmp_path: Path) -> None:
    """A feed that is not there is one line, as is a folder in its place."""
    with pytest.raises(SystemExit, match=r"none\.xml: No such file"):
        crawl("feed", tmp_path / "none.xml", "--shop", "north")
    with pytest.raises(SystemExit, match="is not a file"):
        crawl("feed", tmp_path, "--shop", "north")


def test_feed_is_not_written_over(tmp_path: Path) -> None:
    """A feed is never the place of its own catalog."""
    path = tmp_path / "north.jsonl"
    path.write_text(FEEDS["schema.org"])
    with pytest.raises(SystemExit, match="would write over the feed"):
        crawl("feed", path, "--shop", "north", "--out", path)
    assert path.read_text() == FEEDS["schema.org"]


def test_lines_are_the_contracts() -> None:
    """A line is what protobuf reads back as the same product, whatever of it is filled."""
    full = product_pb2.Product(
        shop="north",
        product_id="B\n38",
        title='Boot "7" \N{SNOWMAN}',
        brand="Okapi",
        category_path=["Women", "Boots"],
        price=product_pb2.Price(currency_code="EUR", units=2**53 + 1, nanos=5),
        url=BASE,
        pictures=[product_pb2.Picture(id="1", path="a/1.jpg", url=BASE, view="sole"), product_pb2.Picture(id="2")],
        availability=product_pb2.PREORDER,
        attributes={"b": "1", "a": "2"},
        description="Two\nlines\u2028",
    )
    full.update_time.FromDatetime(datetime(2026, 11, 21, 12, 30, 0, 500_000, tzinfo=UTC))
    for product in (full, *read_products(YANDEX), product_pb2.Product(shop="n", price=product_pb2.Price())):
        line = to_line(product)
        assert line.count("\n") == 1
        assert json_format.Parse(line, product_pb2.Product()) == product
