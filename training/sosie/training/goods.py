"""A catalog as training and evaluation see it: its products, with what a shop or a customer would say of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf import json_format

from sosie.engine.text import words_sentence
from sosie.training.errors import FitError
from sosie.v1 import product_pb2

MAX_PRODUCTS = 10_000
"""Products that are used, spread over the catalog: more take hours and add little."""
MAX_PICTURES = 4
"""Pictures of a product that are used, its first ones: more views of one thing teach little."""
MANY_PRODUCTS = 4_000
"""Above so many products two pictures of each are enough."""
MAX_LINE_BYTES = 2**20


@dataclass(frozen=True)
class Goods:
    """A product as far as training looks at it; `pictures` are paths relative to the catalog's pictures folder."""

    title: str
    brand: str = ""
    category_path: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    shop: str = ""
    product_id: str = ""

    @property
    def key(self) -> str:
        """What no other product of a catalog has."""
        return f"{self.shop}/{self.product_id}"

    @property
    def family(self) -> str:
        """What it shares with its variants: the title without the words of its attributes.

        "Bruno hoodie red" and "Bruno hoodie blue" are one family, so that neither is held out while the other teaches.
        """
        own = {word for value in self.attributes.values() for word in value.casefold().split()}
        kept = [word for word in self.title.casefold().split() if word not in own]
        return " ".join(kept) or self.title.casefold()

    @property
    def category(self) -> str:
        """The narrowest category, "" without any."""
        return self.category_path[-1] if self.category_path else ""

    def sentences(self) -> tuple[str, str, str, str]:
        """All that the shop says; the title; title, brand and narrowest category; category, brand and attributes."""
        return (
            words_sentence(self.title, self.brand, self.category_path, self.attributes),
            self.title,
            words_sentence(self.title, self.brand, self.category_path[-1:], {}),
            words_sentence(self.category or self.title, self.brand, (), self.attributes),
        )


def read_goods(catalog: Path, report: Callable[[str], None]) -> list[Goods]:
    """The products of a catalog, one sosie.v1.Product a line in protobuf's JSON mapping.

    A line that is no product with a title and a picture is reported and left out. Raises FitError where the file cannot
    be read.
    """
    goods = []
    for number, product in read_products(catalog, report):
        try:
            goods.append(make_goods(product))
        except ValueError as error:
            report(f"line {number}: {error}")
    return goods


def read_products(catalog: Path, report: Callable[[str], None]) -> Iterator[tuple[int, product_pb2.Product]]:
    """The products of a catalog as they stand there, each with the number of its line from 1.

    A line that is no product is reported and left out. Raises FitError where the file cannot be read.
    """
    try:
        for number, line in _read_lines(catalog, report):
            try:
                yield number, _parse(line)
            except ValueError as error:
                report(f"line {number}: {error}")
    except OSError as error:
        raise FitError(f"cannot read the catalog {catalog}: {error.strerror or error}") from error


def make_goods(product: product_pb2.Product) -> Goods:
    """The product as far as training looks at it.

    Raises ValueError, with a message of one line, where it has no title, or no picture with a path.
    """
    if not product.title.strip():
        raise ValueError("has no title")
    pictures = tuple(picture.path for picture in product.pictures if picture.path)
    if not pictures:
        raise ValueError("has no picture with a path")
    return Goods(
        product.title,
        product.brand,
        tuple(product.category_path),
        dict(product.attributes),
        pictures,
        product.shop,
        product.product_id,
    )


def choose_goods(goods: Sequence[Goods]) -> list[Goods]:
    """As many of a catalog's products, and of their pictures, as are fitted to in minutes."""
    chosen = goods[:: -(-len(goods) // MAX_PRODUCTS) or 1]
    pictures = 2 if len(chosen) > MANY_PRODUCTS else MAX_PICTURES
    return [replace(product, pictures=product.pictures[:pictures]) for product in chosen]


def _read_lines(catalog: Path, report: Callable[[str], None]) -> Iterator[tuple[int, bytes]]:
    with catalog.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                report(f"line {number}: is longer than {MAX_LINE_BYTES:,} bytes")
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
            elif line.strip():
                yield number, line


def _parse(line: bytes) -> product_pb2.Product:
    """Raises ValueError, with a message of one line, where the line is no product."""
    try:
        return json_format.Parse(line.decode("utf-8-sig"), product_pb2.Product())
    except (UnicodeDecodeError, json_format.ParseError) as error:
        message = str(error).partition("\n")[0][:200]
        raise ValueError(f"is not a product in JSON: {message}") from error
