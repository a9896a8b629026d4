"""Pictures as a catalog lists them: a product turned into rows that lack nothing but their vector."""

import hashlib
import json
from dataclasses import asdict, dataclass

from sosie.engine.space import Vector
from sosie.engine.store import MAX_PAYLOAD, Facets, Row, picture_key, product_key
from sosie.engine.text import words_sentence
from sosie.indexer.entry import Entry
from sosie.indexer.rejects import Reject
from sosie.v1 import product_pb2

_NANOS_A_MICRO = 1000
_MICROS_A_UNIT = 1_000_000


@dataclass(frozen=True)
class Listing:
    """One picture of a product that has so many `pictures`, with all that its row holds but the vector.

    `path` is relative to the pictures folder. `words` is the sentence that the shop's words come to. `content` and
    `meta` of the row are still open: they need the picture.
    """

    line: int
    shop: str
    product_id: str
    picture_id: str
    path: str
    key: str
    product_key: str
    position: int
    pictures: int
    words: str
    facets: Facets
    payload: bytes
    file: str = ""

    def reject(self, field: str, problem: str) -> Reject:
        """This picture falls out; `field` is that of the picture."""
        path = f"pictures[{self.position}].{field}"
        return Reject(self.line, f"{path} {problem}", path, self.shop, self.product_id, self.picture_id, self.file)

    def row(self, vector: Vector, content: str) -> Row:
        """The picture's row; `content` is the digest of what the vector was made from."""
        return Row(
            key=self.key,
            product_key=self.product_key,
            position=self.position,
            vector=vector,
            facets=self.facets,
            payload=self.payload,
            content=content,
            meta=self.meta_digest(content),
            pictures=self.pictures,
        )

    def meta_digest(self, content: str) -> str:
        """Digest of the whole row, given the digest of what its vector is made from."""
        digest = hashlib.blake2b(digest_size=16)
        facets = json.dumps(asdict(self.facets), sort_keys=True, ensure_ascii=False)
        for piece in (content, self.product_key, f"{self.position}/{self.pictures}", facets):
            raw = piece.encode()
            digest.update(len(raw).to_bytes(4, "big") + raw)
        digest.update(self.payload)
        return digest.hexdigest()


def list_pictures(entry: Entry) -> list[Listing] | Reject:
    """A listing for each picture of a valid product, or the reject where the product is too large for the index."""
    product = entry.product
    payload = _payload(product)
    if len(payload) > MAX_PAYLOAD:
        reason = f"takes {len(payload):,} bytes in the index, at most {MAX_PAYLOAD:,} fit: shorten its description"
        return Reject(entry.line, reason, "", product.shop, product.product_id, file=entry.file)
    facets = _facets(product)
    words = words_sentence(product.title, product.brand, product.category_path, product.attributes)
    return [
        Listing(
            line=entry.line,
            shop=product.shop,
            product_id=product.product_id,
            picture_id=picture.id,
            path=picture.path,
            key=picture_key(product.shop, product.product_id, picture.id),
            product_key=product_key(product.shop, product.product_id),
            position=position,
            pictures=len(product.pictures),
            words=words,
            facets=facets,
            payload=payload,
            file=entry.file,
        )
        for position, picture in enumerate(product.pictures)
    ]


def _payload(product: product_pb2.Product) -> bytes:
    """The product as answers give it: without the pictures' paths."""
    shown = product_pb2.Product()
    shown.CopyFrom(product)
    for picture in shown.pictures:
        picture.ClearField("path")
    return shown.SerializeToString(deterministic=True)


def _facets(product: product_pb2.Product) -> Facets:
    priced = product.HasField("price")
    return Facets(
        shop=product.shop,
        brand=product.brand,
        category_path=tuple(product.category_path),
        currency=product.price.currency_code if priced else None,
        price_micros=_price_micros(product.price) if priced else None,
        in_stock=product.availability in {product_pb2.IN_STOCK, product_pb2.PREORDER},
        attributes=dict(product.attributes),
    )


def _price_micros(price: product_pb2.Price) -> int:
    """Millionths of a unit, rounded to the nearest."""
    return price.units * _MICROS_A_UNIT + (price.nanos + _NANOS_A_MICRO // 2) // _NANOS_A_MICRO
