"""A small shop for the gateway's tests: what it sells, and how it is indexed, over fakes."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from fakes import FAKE_SPACE, FakeEncoder, FakeModels, FakeStore
from sosie.engine.image import prepare
from sosie.engine.space import Vector
from sosie.engine.store import Facets, Row, picture_key, product_key
from sosie.engine.text import Tokenizer, words_sentence
from sosie.engine.triton import TritonModels
from sosie.gateway.backends import Backends
from sosie.v1 import product_pb2

COLOURS = {"red": (220, 30, 30), "green": (20, 160, 40), "blue": (30, 40, 200)}
KINDS = ("shoe", "hat")


def draw(colour: str, kind: str, *, dark: bool = False) -> bytes:
    """A picture whose upper half tells the kind and whose lower half tells the colour."""
    picture = Image.new("RGB", (32, 32), COLOURS[colour])
    picture.paste((250, 250, 250) if kind == "shoe" else (60, 60, 60), (0, 0, 32, 16))
    if dark:
        picture = picture.point(lambda value: value * 0.5)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@dataclass
class Shop:
    """A filled store with the encoder that filled it."""

    repository: Path
    encoder: FakeEncoder
    models: FakeModels
    store: FakeStore = field(default_factory=FakeStore)

    def backends(self, space: str = "") -> Backends:
        async def connect() -> FakeModels:
            if self.models.error:
                raise self.models.error
            return self.models

        return Backends(connect, self.store, collection="sosie", repository=self.repository, space=space)

    def behind_triton(self, address: str) -> Backends:
        """The same shop with the encoders of a Triton."""
        return Backends(
            lambda: TritonModels.connect(address, timeout=10),
            self.store,
            collection="sosie",
            repository=self.repository,
        )


def make_product(colour: str, kind: str) -> product_pb2.Product:
    return product_pb2.Product(
        shop="shop",
        product_id=f"{colour}-{kind}",
        title=f"{colour} {kind}",
        brand="Norden" if kind == "shoe" else "Tide",
        category_path=["Things", kind.capitalize()],
        price=product_pb2.Price(currency_code="EUR", units=len(colour) * 10),
        url=f"https://shop.example/{colour}-{kind}",
        pictures=[
            product_pb2.Picture(id=view, url=f"https://shop.example/{colour}-{kind}-{view}.png")
            for view in ("front", "dark")
        ],
        availability=product_pb2.IN_STOCK if colour != "blue" else product_pb2.OUT_OF_STOCK,
        attributes={"colour": colour},
    )


async def fill(shop: Shop) -> None:
    """Indexes each colour of each kind, with a front picture and a darker one."""
    await shop.store.create(FAKE_SPACE, timeout=1)
    tokenizer = Tokenizer.find(shop.repository, shop.encoder.text_input)
    for colour in COLOURS:
        for kind in KINDS:
            product = make_product(colour, kind)
            sentence = words_sentence(product.title, "", [], {})
            words = await shop.encoder.encode_texts(tokenizer.encode([sentence]), timeout=1)
            for position, picture in enumerate(product.pictures):
                pixels = prepare(draw(colour, kind, dark=picture.id == "dark"), shop.encoder.image_input)
                parts = await shop.encoder.encode_images(pixels[None], timeout=1)
                vector = FAKE_SPACE.assemble({**parts, "words": words["words"]})[0]
                await shop.store.upsert([make_row(product, position, vector)], timeout=1)


def make_row(product: product_pb2.Product, position: int, vector: Vector) -> Row:
    return Row(
        key=picture_key(product.shop, product.product_id, product.pictures[position].id),
        product_key=product_key(product.shop, product.product_id),
        position=position,
        vector=vector,
        facets=Facets(
            shop=product.shop,
            brand=product.brand,
            category_path=tuple(product.category_path),
            currency="EUR",
            price_micros=product.price.units * 1_000_000,
            in_stock=product.availability == product_pb2.IN_STOCK,
            attributes=dict(product.attributes),
        ),
        payload=product.SerializeToString(),
    )
