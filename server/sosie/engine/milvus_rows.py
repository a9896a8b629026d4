"""How a row stands in Milvus: the collection's fields, and filters over them.

What filters compare is hashed. Milvus Lite and the server's versions differ in the escapes that their expressions know;
hexadecimal digits need none, so any text can stand in a filter.
"""

import base64
from collections.abc import Sequence
from typing import Any

from pymilvus import DataType, MilvusClient

from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import MAX_PAYLOAD, Filter, Row, hash_names

_HASH_BYTES = 10
_HASH_DIGITS = 2 * _HASH_BYTES
_POSITION_BITS = 32
_POSITION = 2**_POSITION_BITS - 1


def make_schema(space: EmbeddingSpace, *, by_shop: bool = False) -> Any:
    """The collection's fields, with the space as its description; `by_shop` makes the shop its partition key."""
    # Lite forgets the description, old servers the properties: the space is in both.
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=space.to_json())
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=32)
    schema.add_field("product_key", DataType.VARCHAR, max_length=32)
    schema.add_field("position", DataType.INT64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=space.size)
    schema.add_field("shop", DataType.VARCHAR, max_length=_HASH_DIGITS, is_partition_key=by_shop)
    schema.add_field("brand", DataType.VARCHAR, max_length=_HASH_DIGITS)
    for name, capacity in (("categories", 8), ("attributes", 64)):
        schema.add_field(
            name, DataType.ARRAY, element_type=DataType.VARCHAR, max_length=_HASH_DIGITS, max_capacity=capacity
        )
    schema.add_field("currency", DataType.VARCHAR, max_length=3)
    schema.add_field("price_micros", DataType.INT64)
    schema.add_field("in_stock", DataType.BOOL)
    for name in ("content", "meta"):
        schema.add_field(name, DataType.VARCHAR, max_length=64)
    schema.add_field("payload", DataType.VARCHAR, max_length=65_535)
    return schema


def to_record(row: Row) -> dict[str, Any]:
    """The row as Milvus keeps it. Raises ValueError where its payload is above MAX_PAYLOAD."""
    if len(row.payload) > MAX_PAYLOAD:
        raise ValueError(f"row {row.key}: a payload of {len(row.payload):,} bytes, at most {MAX_PAYLOAD:,} fit")
    facets = row.facets
    path = facets.category_path
    return {
        "key": row.key,
        "product_key": row.product_key,
        "position": pack_position(row.position, row.pictures),
        "vector": row.vector,
        "shop": _hash(facets.shop),
        "brand": _hash(facets.brand.casefold()),
        "categories": [_hash(*path[:depth]) for depth in range(1, len(path) + 1)],
        "currency": facets.currency or "",
        "price_micros": facets.price_micros or 0,
        "in_stock": facets.in_stock,
        "attributes": [_hash(*item) for item in sorted(facets.attributes.items())],
        "content": row.content,
        "meta": row.meta,
        "payload": base64.b64encode(row.payload).decode(),
    }


def pack_position(position: int, pictures: int) -> int:
    """A picture's position with the number of its product's pictures: in a column that collections always had.

    >>> packed = [pack_position(2, 5)]
    >>> read_positions(packed), read_pictures(packed)
    ([2], [5])
    """
    return pictures << _POSITION_BITS | position


def read_positions(packed: Sequence[int]) -> list[int]:
    return [number & _POSITION for number in packed]


def read_pictures(packed: Sequence[int]) -> list[int]:
    """0 where an earlier version wrote the row."""
    return [number >> _POSITION_BITS for number in packed]


def render_filter(filter: Filter) -> str:
    """The filter as Milvus's boolean expression.

    >>> render_filter(Filter(in_stock=True, currency="EUR", max_price_micros=5_000_000))
    'currency == "EUR" and price_micros <= 5000000 and in_stock == true'
    """
    terms = []
    if filter.shops:
        terms.append(f"shop in {_quote(*map(_hash, filter.shops))}")
    if filter.brands:
        terms.append(f"brand in {_quote(*(_hash(brand.casefold()) for brand in filter.brands))}")
    if filter.category_prefix:
        terms.append(f'array_contains(categories, "{_hash(*filter.category_prefix)}")')
    if filter.currency is not None:
        terms.append(f'currency == "{filter.currency}"')
    if filter.min_price_micros is not None:
        terms.append(f"price_micros >= {filter.min_price_micros}")
    if filter.max_price_micros is not None:
        terms.append(f"price_micros <= {filter.max_price_micros}")
    if filter.in_stock:
        terms.append("in_stock == true")
    terms += [f'array_contains(attributes, "{_hash(*item)}")' for item in sorted(filter.attributes.items())]
    if filter.product_keys:
        terms.append(f"product_key in {_quote(*filter.product_keys)}")
    if filter.other_than:
        terms.append(f"product_key not in {_quote(*filter.other_than)}")
    return " and ".join(terms)


def render_keys(keys: Sequence[str]) -> str:
    """The rows with these keys, which are hashes, as Milvus's boolean expression."""
    return f"key in {_quote(*keys)}"


def render_beyond(key: str) -> str:
    """The rows whose keys are greater than this one."""
    return f'key > "{key}"'


def _hash(*values: str) -> str:
    """20 hexadecimal digits that stand for some values."""
    return hash_names(*values, size=_HASH_BYTES)


def _quote(*values: str) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
