"""Makes one catalog of real photographs: `python benchmarks/real_catalogs.py DATA OUT.jsonl [SET]`.

SET is `shops` (luma and eshop, if nothing is said), `luma`, `eshop` or `clothing` (clothing-small-256). DATA holds
their folders; the catalog's picture paths are relative to it, so that DATA is also what `sosie index --images` takes.
A product of luma is a model in one colour, with its views as pictures.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from google.protobuf import json_format

from sosie.v1 import product_pb2


def read_luma(data: Path) -> Iterator[product_pb2.Product]:
    """709 photographs of the shop's products, and 16 that it sells under no number."""
    with (data / "luma" / "products.csv").open(newline="") as file:
        known = {row["sku"]: row for row in csv.DictReader(file)}
    with (data / "luma" / "images.csv").open(newline="") as file:
        pictures = list(csv.DictReader(file))
    variants: dict[tuple[str, str], list[dict[str, str]]] = {}
    for picture in pictures:
        variants.setdefault((picture["sku"], picture["colour"]), []).append(picture)
    for (sku, colour), views in variants.items():
        row = known.get(sku, {})
        product = product_pb2.Product(
            shop="luma",
            product_id=f"{sku}-{colour}" if colour else sku,
            title=" ".join(filter(None, [row.get("name", sku.replace("-", " ")), colour])),
            brand="Luma",
            category_path=row["category"].split("/")[:8] if row else [],
            url=f"https://luma.example/{sku}",
            availability=product_pb2.IN_STOCK,
            description=row.get("description", ""),
        )
        for name in ("material", "pattern"):
            if row.get(name):
                product.attributes[name] = row[name]
        if colour:
            product.attributes["colour"] = colour
        if row.get("price"):
            product.price.CopyFrom(make_price("USD", row["price"]))
        for view in views:
            path = f"luma/{view['path']}"
            product.pictures.add(id=Path(path).stem, path=path, view=view["view"])
        yield product


def read_eshop(data: Path) -> Iterator[product_pb2.Product]:
    """101 products, one picture each."""
    for row in json.loads((data / "eshop" / "catalog.json").read_text()):
        (picture,) = (data / "eshop" / "images").glob(f"{row['Id']}.*")
        yield product_pb2.Product(
            shop="eshop",
            product_id=str(row["Id"]),
            title=row["Name"],
            brand=row["Brand"],
            category_path=[row["Type"]],
            price=make_price("USD", str(row["Price"])),
            url=f"https://eshop.example/{row['Id']}",
            pictures=[product_pb2.Picture(id="1", path=str(picture.relative_to(data)))],
            availability=product_pb2.IN_STOCK,
            description=row["Description"],
        )


def read_clothing(data: Path) -> Iterator[product_pb2.Product]:
    """3,781 photographs that users took, a product each; the attribute `split` is what they are for."""
    for picture in sorted((data / "clothing-small-256").glob("*/*/*.jpg")):
        split, kind = picture.parts[-3:-1]
        yield product_pb2.Product(
            shop="clothing",
            product_id=picture.stem,
            title=kind,
            category_path=[kind],
            url=f"https://clothing.example/{picture.stem}",
            availability=product_pb2.IN_STOCK,
            attributes={"split": split},
            pictures=[product_pb2.Picture(id="1", path=str(picture.relative_to(data)))],
        )


def read_shops(data: Path) -> Iterator[product_pb2.Product]:
    """The products of luma and of eshop."""
    yield from read_luma(data)
    yield from read_eshop(data)


SETS: dict[str, Callable[[Path], Iterator[product_pb2.Product]]] = {
    "shops": read_shops,
    "luma": read_luma,
    "eshop": read_eshop,
    "clothing": read_clothing,
}


def make_price(currency: str, amount: str) -> product_pb2.Price:
    """A price from its decimal notation."""
    units, _, decimals = amount.partition(".")
    return product_pb2.Price(currency_code=currency, units=int(units), nanos=int(decimals.ljust(9, "0")[:9] or 0))


def write_catalog(data: Path, out: Path, name: str = "shops") -> int:
    """Writes the products of one of SETS as a catalog; gives their number."""
    products = list(SETS[name](data))
    with out.open("w", encoding="utf-8") as file:
        for product in products:
            line = json_format.MessageToDict(product, preserving_proto_field_name=True)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(products)


if __name__ == "__main__":
    data, out, name = (*sys.argv[1:], "shops")[:3] if len(sys.argv) in {3, 4} else ("", "", "")
    if name not in SETS:
        raise SystemExit(__doc__)
    print(f"{write_catalog(Path(data), Path(out), name)} products")
