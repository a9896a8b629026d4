"""Reading a catalog: which lines are products, and what is said of those that are not."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer_fixtures import make_product
from sosie.indexer.catalog import Catalog
from sosie.indexer.entry import Entry
from sosie.indexer.reading.lines import MAX_LINE_BYTES
from sosie.indexer.rejects import Reject, Repeat
from sosie.indexer.validation import find_faults

Change = Callable[[dict[str, Any]], object]


def read(path: Path, raw: bytes) -> list[Entry | Reject]:
    path.write_bytes(raw)
    return list(Catalog(path))


def read_changed(path: Path, change: Change) -> Entry | Reject:
    product = make_product()
    change(product)
    (found,) = read(path, json.dumps(product).encode())
    return found


def set_field(name: str, value: Any) -> Change:
    return lambda product: product.update({name: value})


def set_picture(name: str, value: Any) -> Change:
    return lambda product: product["pictures"][0].update({name: value})


def set_price(name: str, value: Any) -> Change:
    return lambda product: product["price"].update({name: value})


def pictures(count: int) -> Change:
    return set_field("pictures", [{"id": str(n), "path": "a.jpg"} for n in range(count)])


URL = "https://norden.example/"

WITHIN = {
    "shortest names": lambda p: p.update(shop="s", product_id="p", title="t"),
    "longest shop": set_field("shop", "s" * 64),
    "longest product id": set_field("product_id", "p" * 256),
    "longest title, in characters not bytes": set_field("title", "ß" * 512),
    "no brand": set_field("brand", ""),
    "longest brand": set_field("brand", "b" * 128),
    "no category": set_field("category_path", []),
    "deepest category": set_field("category_path", ["c" * 128] * 8),
    "no price": lambda p: p.pop("price"),
    "free of charge": set_field("price", {"currency_code": "EUR"}),
    "greatest nanos": set_price("nanos", 999_999_999),
    "greatest units": set_price("units", str(9_223_372_036_853)),
    "no url": set_field("url", ""),
    "longest url": set_field("url", URL + "u" * (2048 - len(URL))),
    "most pictures": pictures(64),
    "longest picture id": set_picture("id", "i" * 128),
    "a path with inner dots": set_picture("path", "a/../b..jpg"),
    "availability left out": lambda p: p.pop("availability"),
    "most attributes": set_field("attributes", {f"{n:064}": "v" * 256 for n in range(64)}),
    "longest description": set_field("description", "d" * 10_000),
    "lowerCamelCase": lambda p: p.update(productId=p.pop("product_id")),
}

BEYOND: dict[str, tuple[Change, str, str]] = {
    "no shop": (lambda p: p.pop("shop"), "shop", "must have 1 to 64 characters, has 0"),
    "long shop": (set_field("shop", "s" * 65), "shop", "has 65"),
    "no product id": (set_field("product_id", ""), "product_id", "must have 1 to 256"),
    "long product id": (set_field("product_id", "p" * 257), "product_id", "has 257"),
    "no title": (lambda p: p.pop("title"), "title", "must have 1 to 512"),
    "long title": (set_field("title", "t" * 513), "title", "has 513"),
    "long brand": (set_field("brand", "b" * 129), "brand", "at most 128"),
    "deep category": (set_field("category_path", ["c"] * 9), "category_path", "at most 8 levels, has 9"),
    "empty level": (set_field("category_path", ["Men", ""]), "category_path[1]", "must have 1 to 128"),
    "long level": (set_field("category_path", ["c" * 129]), "category_path[0]", "has 129"),
    "unknown currency": (set_price("currency_code", "EURO"), "price.currency_code", "ISO 4217"),
    "small currency": (set_price("currency_code", "eur"), "price.currency_code", "is 'eur'"),
    "withdrawn currency": (set_price("currency_code", "HRK"), "price.currency_code", "active"),
    "negative units": (set_price("units", "-1"), "price.units", "is -1"),
    "too many units": (set_price("units", str(9_223_372_036_854)), "price.units", "must be 0 to"),
    "negative nanos": (set_price("nanos", -1), "price.nanos", "is -1"),
    "too many nanos": (set_price("nanos", 1_000_000_000), "price.nanos", "is 1,000,000,000"),
    "relative url": (set_field("url", "/p/1"), "url", "absolute http or https"),
    "ftp url": (set_field("url", "ftp://norden.example/1"), "url", "absolute http or https"),
    "url without a host": (set_field("url", "https://"), "url", "absolute"),
    "url with a space": (set_field("url", URL + "a b"), "url", "absolute"),
    "url with an open bracket": (set_field("url", "https://[::1/"), "url", "absolute"),
    "long url": (set_field("url", URL + "u" * 2048), "url", "2,048 characters"),
    "no picture": (set_field("pictures", []), "pictures", "1 to 64 entries, has 0"),
    "too many pictures": (pictures(65), "pictures", "has 65"),
    "picture without id": (set_picture("id", ""), "pictures[0].id", "1 to 128"),
    "long picture id": (set_picture("id", "i" * 129), "pictures[0].id", "has 129"),
    "same picture id": (
        set_field("pictures", [{"id": "a", "path": "1"}, {"id": "a", "path": "2"}]),
        "pictures[0].id",
        "'a' does not",
    ),
    "picture without path": (set_picture("path", ""), "pictures[0].path", "is missing"),
    "absolute path": (set_picture("path", "/etc/passwd"), "pictures[0].path", "leads out"),
    "path to the parent": (set_picture("path", "../a.jpg"), "pictures[0].path", "leads out"),
    "path that winds out": (set_picture("path", "a/../../b.jpg"), "pictures[0].path", "leads out"),
    "path with NUL": (set_picture("path", "a\0.jpg"), "pictures[0].path", "NUL"),
    "long picture view": (set_picture("view", "v" * 65), "pictures[0].view", "64 characters"),
    "relative picture url": (set_picture("url", "a.jpg"), "pictures[0].url", "absolute"),
    "availability of another age": (set_field("availability", 9), "availability", "9"),
    "too many attributes": (set_field("attributes", {str(n): "" for n in range(65)}), "attributes", "has 65"),
    "attribute without name": (set_field("attributes", {"": "v"}), "attributes[''] (its name)", "1 to 64"),
    "long attribute name": (set_field("attributes", {"n" * 65: "v"}), "(its name)", "has 65"),
    "long attribute value": (set_field("attributes", {"a": "v" * 257}), "attributes['a']", "has 257"),
    "long description": (set_field("description", "d" * 10_001), "description", "has 10,001"),
}

NOT_PRODUCTS = {
    "not JSON": (b"{'shop': 1}", "not a product in JSON"),
    "cut off": (b'{"shop": "a', "not a product in JSON"),
    "an array": (b"[]", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "too deep": (b'{"a":' * 50_000, "not a product in JSON"),
    "not UTF-8": (b'{"shop": "\xe9"}', "not UTF-8: byte 11 is 0xe9"),
    "an unknown field": (b'{"titel": "x"}', 'no field named "titel"'),
    "a field twice": (b'{"shop": "a", "shop": "b"}', "duplicate key"),
    "a number for a title": (b'{"title": 5}', "title"),
    "an unknown availability": (b'{"availability": "SOON"}', "SOON"),
    "a date without a zone": (b'{"update_time": "2026-11-01"}', "update_time"),
    "half a surrogate": (b'{"title": "\\ud800"}', "surrogate"),
    "units that are no number": (b'{"price": {"units": 1e400}}', "integer"),
}


@pytest.mark.parametrize("name", WITHIN)
def test_a_product_at_its_bounds_is_taken(name: str, tmp_path: Path) -> None:
    """A product that just keeps within a bound is an entry."""
    found = read_changed(tmp_path / "c.jsonl", WITHIN[name])
    assert isinstance(found, Entry), found


@pytest.mark.parametrize("name", BEYOND)
def test_a_product_beyond_a_bound_is_rejected(name: str, tmp_path: Path) -> None:
    """A product that breaks a bound is rejected with the field and the bound."""
    change, field, problem = BEYOND[name]
    found = read_changed(tmp_path / "c.jsonl", change)
    assert isinstance(found, Reject)
    assert found.field.endswith(field)
    assert problem in found.reason
    assert found.reason.startswith(found.field)
    assert "\n" not in found.reason


@pytest.mark.parametrize("name", NOT_PRODUCTS)
def test_a_line_that_is_no_product_is_rejected(name: str, tmp_path: Path) -> None:
    """A line that cannot be parsed is rejected with its number and one line of reason, and the next one is read."""
    raw, problem = NOT_PRODUCTS[name]
    found = read(tmp_path / "c.jsonl", b"\n" + raw + b"\n" + json.dumps(make_product()).encode())
    assert isinstance(found[0], Reject)
    assert found[0].line == 2
    assert problem in found[0].reason
    assert "\n" not in found[0].reason
    assert len(found[0].reason) < 300
    assert isinstance(found[1], Entry)


def test_lines_are_counted_with_the_empty_ones(tmp_path: Path) -> None:
    """Empty lines, a byte order mark and Windows line ends are taken, and line numbers are those of an editor."""
    lines = [json.dumps(make_product(number)).encode() for number in range(2)]
    found = read(tmp_path / "c.jsonl", b"\xef\xbb\xbf" + lines[0] + b"\r\n\r\n  \n" + lines[1])
    assert [entry.line for entry in found] == [1, 4]
    assert all(isinstance(entry, Entry) for entry in found)


def test_a_line_without_end_is_rejected_without_being_held(tmp_path: Path) -> None:
    """A line above the bound is rejected, and the one after it is read."""
    raw = b"{" + b" " * (3 * MAX_LINE_BYTES) + b"}\n" + json.dumps(make_product()).encode() + b"\n"
    catalog = tmp_path / "c.jsonl"
    found = read(catalog, raw)
    assert found[0] == Reject(1, "is longer than 1,048,576 bytes", file="c.jsonl")
    assert isinstance(found[1], Entry)
    assert found[1].line == 2


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES])
def test_a_line_at_its_bound_is_read(length: int, tmp_path: Path) -> None:
    """The longest line that is allowed is parsed, with its line end or without."""
    line = json.dumps(make_product()).encode()
    for end in (b"\n", b""):
        (found,) = read(tmp_path / "c.jsonl", line + b" " * (length - len(line)) + end)
        assert isinstance(found, Entry)


def test_a_product_that_comes_twice_is_rejected(tmp_path: Path) -> None:
    """The second line with the same shop and product id is rejected, naming the first one's line."""
    products = [make_product(1), make_product(2), make_product(1), {**make_product(1), "shop": "other"}]
    found = read(tmp_path / "c.jsonl", "\n".join(map(json.dumps, products)).encode())
    assert [type(each) for each in found] == [Entry, Entry, Repeat, Entry]
    assert isinstance(found[2], Repeat)
    assert found[2].reason == "product_id is also that of line 1"
    assert (found[2].line, found[2].shop, found[2].product_id) == (3, "norden", "p1")


def test_names_are_kept_apart(tmp_path: Path) -> None:
    """Products whose shop and id only join to the same text are different ones."""
    products = [
        {**make_product(), "shop": "ab", "product_id": "c"},
        {**make_product(), "shop": "a", "product_id": "bc"},
    ]
    found = read(tmp_path / "c.jsonl", "\n".join(map(json.dumps, products)).encode())
    assert [type(each) for each in found] == [Entry, Entry]


def test_every_fault_is_found(tmp_path: Path) -> None:
    """A product with several faults has them all listed, in the order of its fields."""
    found = read_changed(tmp_path / "c.jsonl", lambda p: None)
    assert isinstance(found, Entry)
    found.product.title = ""
    found.product.brand = "b" * 129
    found.product.price.nanos = -1
    assert [fault.field for fault in find_faults(found.product)] == ["title", "brand", "price.nanos"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
def test_a_catalog_that_is_no_file_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    """A folder, or nothing, in the catalog's place raises OSError with the path."""
    path = tmp_path / "c.jsonl"
    make(path)
    with pytest.raises(OSError, match=re.escape(str(path))):
        Catalog(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["shop", "pictures", "price", "attributes", "id", "units"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_bytes_stop_the_reader(raw: bytes, tmp_path: Path) -> None:
    """Whatever a line after the first holds, it is an entry or a reject, and the line after it is read."""
    lines = [json.dumps(make_product(number)).encode() for number in range(2)]
    found = read(tmp_path / "c.jsonl", b"\n".join([lines[0], raw, lines[1]]))
    assert isinstance(found[0], Entry)
    assert isinstance(found[-1], Entry)
    assert all(isinstance(each, Reject) for each in found[1:-1])
