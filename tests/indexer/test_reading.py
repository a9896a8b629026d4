"""A catalog in many files and packings: which are read, in which order, and that all give the same products."""

import gzip
import json
import os
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes import FakeEncoder, FakeStore
from indexer_fixtures import make_job, make_product, make_shop
from sosie.indexer.catalog import Catalog
from sosie.indexer.entry import Entry
from sosie.indexer.reading.files import find_files, holds, name_beside
from sosie.indexer.reading.repeats import Settled
from sosie.indexer.rejects import Reject, RejectsFile, Repeat
from sosie.indexer.report import Report
from sosie.v1 import product_pb2


def to_lines(products: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(product).encode() + b"\n" for product in products)


def write_parquet(path: Path, products: Sequence[dict[str, Any]], *, group: int = 1000, schema: Any = None) -> None:
    table = pa.Table.from_pylist(list(products), schema=schema)
    pq.write_table(table, path, row_group_size=group)


def write_zstd_frames(path: Path, products: Sequence[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(zstd.compress(to_lines([product])) for product in products))


def write_gzip_members(path: Path, products: Sequence[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(gzip.compress(to_lines([product])) for product in products))


Write = Callable[[Path, Sequence[dict[str, Any]]], object]

PACKINGS: dict[str, Write] = {
    "c.jsonl": lambda path, products: path.write_bytes(to_lines(products)),
    "c.jsonl.gz": lambda path, products: path.write_bytes(gzip.compress(to_lines(products))),
    "c.members.jsonl.gz": write_gzip_members,
    "c.jsonl.zst": lambda path, products: path.write_bytes(zstd.compress(to_lines(products))),
    "c.frames.jsonl.zst": write_zstd_frames,
    "c.parquet": write_parquet,
    "c.groups.parquet": lambda path, products: write_parquet(path, products, group=2),
    "gzip by another name": lambda path, products: path.write_bytes(gzip.compress(to_lines(products))),
}


def read_ids(catalog: Catalog) -> list[str]:
    return [found.product.product_id for found in catalog if isinstance(found, Entry)]


@pytest.mark.parametrize("name", PACKINGS)
def test_every_packing_gives_the_same_products(name: str, tmp_path: Path) -> None:
    """Plain, packed and columnar files give the same products, their lines' numbers, and all bytes counted."""
    products = [make_product(number) for number in range(7)]
    PACKINGS[name](tmp_path / name, products)
    (tmp_path / "plain.jsonl").write_bytes(to_lines(products))
    catalog = Catalog(tmp_path / name)
    found = list(catalog)
    expected = [entry.product for entry in Catalog(tmp_path / "plain.jsonl") if isinstance(entry, Entry)]
    assert [entry.product for entry in found if isinstance(entry, Entry)] == expected
    assert [(entry.file, entry.line) for entry in found] == [(name, line) for line in range(1, 8)]
    assert catalog.bytes_read == catalog.size == (tmp_path / name).stat().st_size


@pytest.mark.parametrize("name", [name for name in PACKINGS if name != "c.jsonl"])
def test_a_file_that_is_cut_off_ends_the_reading(name: str, tmp_path: Path) -> None:
    """Half a packed file raises OSError with its name: nothing may take the other half for deleted."""
    PACKINGS[name](tmp_path / name, [make_product(number) for number in range(50)])
    raw = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(OSError, match="is damaged or cut off") as caught:
        list(Catalog(tmp_path / name))
    assert caught.value.filename == str(tmp_path / name)


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    """Catalogs of all kinds below a folder are read; hidden and unfinished ones, other kinds and rejects are not."""
    shop = tmp_path / "shop"
    for number, name in enumerate(["b/2.jsonl", "a.ndjson", "b/1.parquet", "c.jsonl.gz", "D.JSONL.ZST"]):
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        write = PACKINGS[
            {".gz": "c.jsonl.gz", ".ZST": "c.jsonl.zst", ".parquet": "c.parquet"}.get(Path(name).suffix, "c.jsonl")
        ]
        write(shop / name, [make_product(number)])
    for name in ["_temporary/0.jsonl", ".hidden.jsonl", "b/_SUCCESS", "a.rejects.jsonl", "readme.txt", "c.check.jsonl"]:
        (shop / name).parent.mkdir(exist_ok=True)
        (shop / name).write_text("{}\n")
    catalog = Catalog(shop)
    assert [entry.file for entry in catalog] == ["D.JSONL.ZST", "a.ndjson", "b/1.parquet", "b/2.jsonl", "c.jsonl.gz"]
    assert read_ids(catalog) == ["p4", "p1", "p2", "p0", "p3"]
    assert catalog.bytes_read == catalog.size
    assert (catalog.left_out_count, catalog.left_out) == (3, ("a.rejects.jsonl", "c.check.jsonl", "readme.txt"))


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one of the folders below may not be read the catalog is refused: its products are not gone."""
    (tmp_path / "a.jsonl").write_bytes(to_lines([make_product()]))
    (tmp_path / "b").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> Any:  # permissions do not stop the user root
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        Catalog(tmp_path)


def test_a_glob_names_files(tmp_path: Path) -> None:
    """A glob's files are named from the folder in which the search begins, and ** goes through folders."""
    for number, name in enumerate(["x/shop=a/1.jsonl", "x/shop=b/1.jsonl", "x/shop=b/1.txt", "x/2.jsonl"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(to_lines([make_product(number)]))
    assert [file.name for file in find_files(tmp_path / "x" / "shop=*" / "*").files] == [
        "shop=a/1.jsonl",
        "shop=b/1.jsonl",
    ]
    assert read_ids(Catalog(tmp_path / "x" / "**" / "*.jsonl")) == ["p3", "p0", "p1"]


def test_a_name_with_wild_characters_is_a_name(tmp_path: Path) -> None:
    """A file or a folder that is there is taken, even where its name looks like a glob."""
    (tmp_path / "[a]").mkdir()
    (tmp_path / "[a]" / "c*.jsonl").write_bytes(to_lines([make_product()]))
    assert read_ids(Catalog(tmp_path / "[a]" / "c*.jsonl")) == ["p0"]
    assert read_ids(Catalog(tmp_path / "[a]")) == ["p0"]


@pytest.mark.parametrize(
    ("start", "kind"), [(b"PK\x03\x04", "zip"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"PARE", "encrypted")]
)
def test_other_packings_are_refused_by_name(start: bytes, kind: str, tmp_path: Path) -> None:
    """A file that is packed as nothing that is read is refused at once, and the message says what is."""
    (tmp_path / "c.jsonl").write_bytes(start + b"...")
    with pytest.raises(OSError, match=f"is packed as {kind}.*: sosie reads .*parquet"):
        Catalog(tmp_path / "c.jsonl")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A named pipe is no file: to open it would be to wait for its other end."""
    os.mkfifo(tmp_path / "c.jsonl")
    with pytest.raises(OSError, match="is not a file"):
        Catalog(tmp_path)


def test_repeats_are_found_across_files(tmp_path: Path) -> None:
    """A product that an earlier file has too is a repeat, and the reason names the file."""
    (tmp_path / "a.jsonl").write_bytes(to_lines([make_product(0), make_product(1)]))
    write_parquet(tmp_path / "b.parquet", [make_product(2), make_product(1)])
    (repeat,) = [found for found in Catalog(tmp_path) if isinstance(found, Reject)]
    assert isinstance(repeat, Repeat)
    assert (repeat.file, repeat.line) == ("b.parquet", 2)
    assert repeat.reason == "product_id is also that of line 2 of a.jsonl"


@pytest.mark.parametrize(
    ("catalog", "beside"),
    [
        ("c.jsonl", "c.rejects.jsonl"),
        ("c.jsonl.gz", "c.rejects.jsonl"),
        ("c.ndjson.zst", "c.rejects.jsonl"),
        ("c.parquet", "c.rejects.jsonl"),
        ("2026.11.jsonl", "2026.11.rejects.jsonl"),
        ("catalog", "catalog.rejects.jsonl"),
        ("folder", "folder.rejects.jsonl"),
        ("folder/*.jsonl", "folder.rejects.jsonl"),
        ("folder/**/part-?.parquet", "folder.rejects.jsonl"),
    ],
)
def test_what_a_run_leaves_is_beside_the_catalog(catalog: str, beside: str, tmp_path: Path) -> None:
    """The default place of rejects is beside the file or the folder that was read."""
    (tmp_path / "folder").mkdir()
    assert name_beside(tmp_path / catalog, ".rejects.jsonl") == tmp_path / beside


def test_the_working_folder_has_a_place_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that is named by a dot gets its rejects beside the folder, under its name."""
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    assert name_beside(Path(), ".rejects.jsonl") == tmp_path / "shop.rejects.jsonl"
    assert name_beside(Path("*.jsonl"), ".rejects.jsonl") == tmp_path / "shop.rejects.jsonl"


def test_what_belongs_to_a_catalog_is_known(tmp_path: Path) -> None:
    """A file of a folder that is a catalog is held by it, however it is written; others are not."""
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert holds(tmp_path, tmp_path / "x" / ".." / "a.jsonl")
    assert not holds(tmp_path, tmp_path / "a.rejects.jsonl")
    assert not holds(tmp_path / "nothing", tmp_path / "nothing")


TYPED = pa.schema(
    [
        ("shop", pa.dictionary(pa.int32(), pa.string())),
        ("product_id", pa.large_string()),
        ("title", pa.binary()),
        ("category_path", pa.large_list(pa.string())),
        ("price", pa.struct([("currency_code", pa.string()), ("units", pa.int64()), ("nanos", pa.int32())])),
        ("pictures", pa.list_(pa.struct([("id", pa.string()), ("path", pa.string()), ("view", pa.string())]))),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("update_time", pa.timestamp("ns", tz="Europe/Berlin")),
    ]
)


def make_row(**changed: Any) -> dict[str, Any]:
    return {
        "shop": "norden",
        "product_id": "p1",
        "title": "Grün".encode(),
        "category_path": ["Men", "Shoes"],
        "price": {"currency_code": "EUR", "units": 89, "nanos": 990000000},
        "pictures": [{"id": "1", "path": "a.jpg", "view": None}],
        "attributes": [("colour", "green"), ("fit", None)],
        "update_time": 1_793_520_000_000_000_001,
        **changed,
    }


def test_columns_of_any_fitting_type_are_read(tmp_path: Path) -> None:
    """Dictionaries, maps, structs, marked or unmarked text, times with a zone, and nulls, which are absent fields."""
    empty: dict[str, Any] = dict.fromkeys(("category_path", "price", "attributes", "update_time"))
    write_parquet(tmp_path / "c.parquet", [make_row(), make_row(product_id="p2", **empty)], schema=TYPED)
    full, bare = [found.product for found in Catalog(tmp_path / "c.parquet") if isinstance(found, Entry)]
    assert (full.title, list(full.category_path), dict(full.attributes)) == (
        "Grün",
        ["Men", "Shoes"],
        {"colour": "green"},
    )
    assert (full.price.units, full.price.nanos, full.pictures[0].path) == (89, 990000000, "a.jpg")
    assert full.update_time.ToNanoseconds() == 1_793_520_000_000_000_001
    assert not bare.HasField("price")
    assert not bare.HasField("update_time")
    assert not bare.category_path


ODD_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "a key twice": ({"attributes": [("a", "1"), ("a", "2")]}, "has the key 'a' twice"),
    "not UTF-8": ({"title": b"\xe9"}, "is not UTF-8"),
    "no title": ({"title": None}, "title must have 1 to 512 characters, has 0"),
    "a level that is null": ({"category_path": ["Men", None]}, "is not a product"),
}


@pytest.mark.parametrize("name", ODD_ROWS)
def test_an_odd_row_is_rejected_alone(name: str, tmp_path: Path) -> None:
    """A row that is no product is rejected with its number, and those around it are read."""
    changed, problem = ODD_ROWS[name]
    rows = [make_row(), make_row(product_id="odd", **changed), make_row(product_id="p3")]
    write_parquet(tmp_path / "c.parquet", rows, schema=TYPED)
    first, odd, last = Catalog(tmp_path / "c.parquet")
    assert isinstance(first, Entry)
    assert isinstance(odd, Reject)
    assert isinstance(last, Entry)
    assert problem in odd.reason
    assert (odd.line, "\n" in odd.reason) == (2, False)


@pytest.mark.parametrize(
    ("column", "problem"),
    [("titel", 'no field named "titel"'), ("update_time", "update_time")],
    ids=["name", "no zone"],
)
def test_a_column_that_fits_nothing_rejects_its_rows(column: str, problem: str, tmp_path: Path) -> None:
    """A column that the contract does not know, or a time without a zone, is a fault as it is in JSON."""
    write_parquet(tmp_path / "c.parquet", [{**make_product(), column: pa.scalar(0, pa.timestamp("ms")).as_py()}])
    (found,) = Catalog(tmp_path / "c.parquet")
    assert isinstance(found, Reject)
    assert problem in found.reason


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.integers(1, 2500), blank=st.integers(0, 3), last=st.booleans())
def test_partitions_come_to_the_whole(size: int, blank: int, last: bool, tmp_path: Path) -> None:
    """Whatever the pieces' size, read alone and put together they give what the catalog gives, line for line."""
    products = [make_product(number % 6) for number in range(8)]
    text = (b"\n" * blank).join(to_lines([product]) for product in products)
    (tmp_path / "a.jsonl").write_bytes(text if last else text.removesuffix(b"\n"))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(to_lines([{"shop": "nobody"}])))
    (tmp_path / "c.jsonl").write_bytes(b"")
    write_parquet(tmp_path / "d.parquet", [make_product(number) for number in range(10, 17)], group=2)
    whole = list(Catalog(tmp_path))
    pieces = pickle.loads(pickle.dumps(Catalog(tmp_path).cut(size)))  # noqa: S301 - as it goes to another machine
    repeats = Catalog(tmp_path).find_repeats()
    catalogs = [Catalog(tmp_path, partition=piece, merger=Settled(repeats)) for piece in pieces]
    assert [found for catalog in catalogs for found in catalog] == whole
    assert all(catalog.bytes_read == catalog.size for catalog in catalogs)
    assert len(repeats) == 2


def test_a_large_file_is_cut_where_lines_end(tmp_path: Path) -> None:
    """Pieces of a plain file have about the size that is asked for, and a packed file stays whole."""
    raw = to_lines([make_product(number) for number in range(300)])
    (tmp_path / "a.jsonl").write_bytes(raw)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(raw))
    pieces = Catalog(tmp_path).cut(20_000)
    plain = [piece for piece in pieces if piece.file.name == "a.jsonl"]
    assert sum(piece.size for piece in plain) == len(raw)
    assert all(20_000 <= piece.size < 22_000 for piece in plain[:-1])
    assert len(pieces) == len(plain) + 1


class Shouting:
    """A cleaner that writes titles in capitals."""

    def clean(self, product: product_pb2.Product) -> list[Any]:
        product.title = product.title.upper()
        return []


def test_products_are_cleaned_before_they_are_checked(tmp_path: Path) -> None:
    """What the cleaner makes of a product is what its bounds are held against: here one letter grows to three."""
    (tmp_path / "c.jsonl").write_bytes(to_lines([make_product(), {**make_product(1), "title": "ﬃ" * 300}]))
    first, second = Catalog(tmp_path / "c.jsonl", cleaner=Shouting())
    assert isinstance(first, Entry)
    assert first.product.title == make_product()["title"].upper()
    assert isinstance(second, Reject)
    assert second.reason == "title must have 1 to 512 characters, has 900"


async def test_an_index_does_not_know_the_packing(tmp_path: Path) -> None:
    """A folder of gzip, zstd and Parquet comes to the same rows as the lines that it was made from."""
    shop = make_shop(tmp_path / "shop", 9)
    stores = [FakeStore(), FakeStore()]
    parts = tmp_path / "parts"
    parts.mkdir()
    for place, name in enumerate(["c.jsonl.gz", "c.jsonl.zst", "c.parquet"]):
        PACKINGS[name](parts / name, shop.products[place * 3 : place * 3 + 3])
    for store, path in zip(stores, [shop.catalog, parts], strict=True):
        await store.create(FakeEncoder().space, timeout=1)
        with RejectsFile(tmp_path / "rejects.jsonl") as rejects, ThreadPoolExecutor(2) as pool:
            await make_job(shop, FakeEncoder(), store, Report(rejects), pool, catalog=Catalog(path)).run()
    assert stores[0].rows.keys() == shop.keys()
    assert {key: row.meta for key, row in stores[0].rows.items()} == {
        key: row.meta for key, row in stores[1].rows.items()
    }
