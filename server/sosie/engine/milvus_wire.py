"""Questions to Milvus as bytes, and what its replies say.

pymilvus' client takes as much processor time for one search as four calls do. Here the part of a request that never
changes is serialised once, the vector follows as it lies in memory, and a reply is read from its columns. Messages are
those of pymilvus' generated code; a test holds them against what its client would send.
"""

from binascii import a2b_base64
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from sosie.engine.milvus_rows import read_pictures, read_positions
from sosie.engine.space import Vector
from sosie.engine.store import Match
from sosie.engine.wire import begin_field

_EF = 512  # recall@10 of 0.998 or more for every kind of question, see docs/performance.md
_HEADS = 256
_PAYLOADS = 1024  # mostly a kilobyte each, never more than 115
_FIELDS = ("product_key", "position", "payload")
_PLACEHOLDER: bytes = common_pb2.PlaceholderValue(
    tag="$0", type=common_pb2.PlaceholderType.FloatVector
).SerializeToString()


class Consistency(NamedTuple):
    """How fresh an answer must be: Milvus' level, and the time that the server must have reached, as it counts it."""

    level: int
    timestamp: int


class Requests:
    """Writes questions to one collection; `on_disk` says whether its index is DISKANN."""

    def __init__(self, collection: str, *, on_disk: bool = False) -> None:
        self._collection = collection
        self.on_disk = on_disk
        self._head = lru_cache(maxsize=_HEADS)(self._make_head)

    def search(self, vector: Vector, *, limit: int, expression: str, consistency: Consistency) -> bytes:
        """A SearchRequest for the `limit` nearest rows."""
        raw = np.ascontiguousarray(vector, "<f4").tobytes()
        return self._head(limit, expression, consistency, len(raw)) + raw

    def query(
        self, fields: Sequence[str], *, expression: str, consistency: Consistency, limit: int | None = None
    ) -> bytes:
        """A QueryRequest for some fields of the rows that pass; with a `limit` of those of the lowest keys."""
        # Milvus Lite gives rows in the order of their keys to iterators alone.
        parameters = {} if limit is None else {"limit": str(limit), "iterator": "True"}
        request = milvus_pb2.QueryRequest(
            collection_name=self._collection,
            expr=expression,
            output_fields=fields,
            # To stop for the best, as pymilvus' iterator does, makes a server of 2.3 leave out rows at a page's end.
            query_params=_pairs({**parameters, "ignore_growing": "False", "reduce_stop_for_best": "False"}),
            consistency_level=consistency.level,
            guarantee_timestamp=consistency.timestamp,
        )
        return bytes(request.SerializeToString())

    def describe(self) -> bytes:
        """A DescribeCollectionRequest."""
        return bytes(milvus_pb2.DescribeCollectionRequest(collection_name=self._collection).SerializeToString())

    def _make_head(self, limit: int, expression: str, consistency: Consistency, size: int) -> bytes:
        """A SearchRequest up to the numbers of its vector, which take `size` bytes."""
        wide = ("search_list", _wide_on_disk(limit)) if self.on_disk else ("ef", max(_EF, limit))
        parameters = {
            "topk": str(limit),
            "round_decimal": "-1",
            "ignore_growing": "False",
            "metric_type": "IP",
            "params": f'{{"{wide[0]}":{wide[1]},"metric_type":"IP"}}',
        }
        request = milvus_pb2.SearchRequest(
            collection_name=self._collection,
            dsl=expression,
            dsl_type=common_pb2.DslType.BoolExprV1,
            output_fields=_FIELDS,
            search_params=_pairs(parameters),
            nq=1,
            consistency_level=consistency.level,
            guarantee_timestamp=consistency.timestamp,
        )
        unchanging: bytes = request.SerializeToString()
        placeholder = _PLACEHOLDER + begin_field(common_pb2.PlaceholderValue.VALUES_FIELD_NUMBER, size)
        size += len(placeholder)
        group = begin_field(common_pb2.PlaceholderGroup.PLACEHOLDERS_FIELD_NUMBER, size) + placeholder
        size += len(group) - len(placeholder)
        return unchanging + begin_field(milvus_pb2.SearchRequest.PLACEHOLDER_GROUP_FIELD_NUMBER, size) + group


def _wide_on_disk(limit: int) -> int:
    """How many candidates DISKANN keeps: 200 at most for 20 rows, ten times their number for more, says Milvus."""
    return 200 if limit <= 20 else max(limit, min(10 * limit, _EF))  # noqa: PLR2004 - see above


@lru_cache(maxsize=_PAYLOADS)
def _unpack(payload: str) -> bytes:
    """A row's payload; a shop's best are found again and again, and a product's pictures mostly have the same."""
    return a2b_base64(payload)


def read_matches(reply: Any) -> list[Match]:
    """The rows of a SearchResults, in its order."""
    found = reply.results
    keys = found.ids.str_id.data[:]  # a slice is a list, made at once
    if not keys:
        return []
    columns = {field.field_name: field.scalars for field in found.fields_data}
    packed = columns["position"].long_data.data[:]
    rows = zip(
        keys,
        columns["product_key"].string_data.data[:],
        read_positions(packed),
        read_pictures(packed),
        found.scores[:],
        [partial(_unpack, text) for text in columns["payload"].string_data.data[:]],
        strict=True,
    )
    return list(map(Match._make, rows))


def read_strings(reply: Any, name: str) -> Sequence[str]:
    """A column of strings in a QueryResults, [] where no row was found."""
    return next((field.scalars.string_data.data for field in reply.fields_data if field.field_name == name), [])


def read_numbers(reply: Any, name: str) -> Sequence[int]:
    """A column of whole numbers in a QueryResults, [] where no row was found."""
    return next((field.scalars.long_data.data for field in reply.fields_data if field.field_name == name), [])


def read_vectors(reply: Any, name: str) -> Vector:
    """A column of vectors in a QueryResults, [rows, size]; without rows [0, 0]."""
    for field in reply.fields_data:
        if field.field_name == name and field.vectors.dim:
            size = field.vectors.dim
            numbers = field.vectors.float_vector
            # The numbers lie at the end of the message as they do in memory; as a list each would become an object.
            count = len(numbers.data)
            raw = numbers.SerializeToString()
            return np.frombuffer(raw, "<f4", count, len(raw) - 4 * count).reshape(-1, size).astype(np.float32)
    return np.zeros((0, 0), np.float32)


def _pairs(values: dict[str, str]) -> list[Any]:
    return [common_pb2.KeyValuePair(key=key, value=value) for key, value in values.items()]
