"""How a collection is made in Milvus: its index by its size, its partitions, and what it says of itself."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from pymilvus import MilvusClient

from sosie.engine.errors import BackendError
from sosie.engine.generations import Collection, Layout
from sosie.engine.milvus_rows import make_schema
from sosie.engine.space import EmbeddingSpace

SPACE_PROPERTY = "sosie.space"
IDENTITY_PROPERTY = "sosie.identity"
INDEX_PROPERTY = "sosie.index"

# With 16 and 200 zero parts cost up to 0.07 of the recall, see docs/performance.md.
_HNSW = {"M": 32, "efConstruction": 400}
_LITE = "milvus_lite"  # the server in the PyPI package `milvus` is v2.3.5-lite, and a whole one
_DISKANN = "DISKANN"
_PARTITION_KEYS_SINCE = (2, 4)
_PARTITIONS = 64  # shops share them by a hash


def make_collection(client: MilvusClient, name: str, space: EmbeddingSpace, layout: Layout, timeout: float) -> None:
    """Makes an empty collection with its index. Raises BackendError where the server cannot keep shops apart."""
    lite = is_lite(client, timeout)
    by_shop = layout.by_shop and not lite
    if by_shop:
        check_partition_keys(client.get_server_version(timeout=timeout))
    kind, parameters = choose_index(layout, lite=lite)
    index = client.prepare_index_params()
    index.add_index("vector", index_type=kind, metric_type="IP", params=parameters)
    client.create_collection(
        name,
        schema=make_schema(space, by_shop=by_shop),
        index_params=index,
        properties={
            SPACE_PROPERTY: space.to_json(),
            IDENTITY_PROPERTY: secrets.token_hex(8),
            INDEX_PROPERTY: kind,
        },
        timeout=timeout,
        **({"num_partitions": _PARTITIONS} if by_shop else {}),
    )


def choose_index(layout: Layout, *, lite: bool) -> tuple[str, dict[str, int]]:
    """The kind of index and its parameters, in Milvus' words."""
    if lite or layout.index == "flat":
        # Of Lite's the only kind whose filters keep their recall; Lite is for small catalogs.
        return "FLAT", {}
    if layout.index == "diskann":
        return _DISKANN, {}
    return "HNSW", _HNSW


def check_partition_keys(version: str) -> None:
    """Raises BackendError where a server of this version loses sight of rows that are kept apart by a key."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < _PARTITION_KEYS_SINCE:
        raise BackendError(
            f"Milvus {version} puts upserted rows into the wrong shop's partition, where filters miss them "
            "(milvus-io/milvus#30607): keep the shops together, or use a server from 2.4 on"
        )


def read_collection(described: Mapping[str, Any]) -> Collection:
    """What pymilvus' description of a collection says of it."""
    properties = described["properties"]
    return Collection(
        name=described["collection_name"],
        space=EmbeddingSpace.from_json(properties.get(SPACE_PROPERTY) or described["description"]),
        identity=str(described["collection_id"] or properties.get(IDENTITY_PROPERTY, "")),
    )


def is_on_disk(properties: Mapping[str, str]) -> bool:
    """Whether a collection with these properties has an index that takes DISKANN's parameters."""
    return properties.get(INDEX_PROPERTY) == _DISKANN


def is_lite(client: MilvusClient, timeout: float) -> bool:
    return bool(client.get_server_version(timeout=timeout).startswith(_LITE))
