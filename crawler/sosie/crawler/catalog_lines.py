"""A product as a line of a catalog."""

import json
from typing import Any

from sosie.v1 import product_pb2

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_line(product: product_pb2.Product) -> str:
    """The line, with its end: what protobuf's JSON mapping reads back as the same product.

    Written by hand, since json_format takes ten times as long as all else that is done with an offer of a feed. Fields
    are named as in the contract, attributes are in the order of their names.
    """
    line: dict[str, Any] = {"shop": product.shop, "product_id": product.product_id, "title": product.title}
    if product.brand:
        line["brand"] = product.brand
    if product.category_path:
        line["category_path"] = list(product.category_path)
    if product.HasField("price"):
        line["price"] = _price(product.price)
    if product.url:
        line["url"] = product.url
    line["pictures"] = [_picture(picture) for picture in product.pictures]
    if product.availability:
        line["availability"] = product_pb2.Availability.Name(product.availability)
    if product.attributes:
        line["attributes"] = dict(sorted(product.attributes.items()))
    if product.description:
        line["description"] = product.description
    if product.HasField("update_time"):
        line["update_time"] = product.update_time.ToJsonString()
    return f"{_encode(line)}\n"


def _price(price: product_pb2.Price) -> dict[str, Any]:
    written: dict[str, Any] = {"currency_code": price.currency_code, "units": str(price.units)}
    return written | {"nanos": price.nanos} if price.nanos else written


def _picture(picture: product_pb2.Picture) -> dict[str, str]:
    named = (("id", picture.id), ("path", picture.path), ("url", picture.url), ("view", picture.view))
    return {name: value for name, value in named if value}
