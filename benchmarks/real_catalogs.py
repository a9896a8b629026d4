"""Makes one catalog of the real photographs: `python benchmarks/real_catalogs.py DATA OUT.jsonl`.

DATA is the folder that holds luma/ and eshop/; the catalog's picture paths are relative to it, so that DATA is also
what `sosie index --images` takes. A product of luma is a model in one colour, with its views as pictures.
"""

import csv
import json
import sys
from collections.abc import Iterator
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


def make_price(currency: str, amount: str) -> product_pb2.Price:
    """A price from its decimal notation."""
    units, _, decimals = amount.partition(".")
    return product_pb2.Price(currency_code=currency, units=int(units), nanos=int(decimals.ljust(9, "0")[:9] or 0))


def write_catalog(data: Path, out: Path) -> int:
    """Writes both shops' products as one catalog; gives their number."""
    products = [*read_luma(data), *read_eshop(data)]
    with out.open("w", encoding="utf-8") as file:
        for product in products:
            line = json_format.MessageToDict(product, preserving_proto_field_name=True)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(products)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(f"{write_catalog(Path(sys.argv[1]), Path(sys.argv[2]))} products")
