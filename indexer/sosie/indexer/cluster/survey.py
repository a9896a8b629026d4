"""The catalog as its names alone, read by the nodes: for what takes all lines to know, and nothing else of them."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayError, RayTaskError

from sosie.indexer.catalog import Catalog
from sosie.indexer.cleaning.clean_catalog import CleanCatalog, CleaningOptions
from sosie.indexer.cluster.errors import ClusterError
from sosie.indexer.entry import Entry
from sosie.indexer.faults import describe_os_error
from sosie.indexer.reading.files import Partition
from sosie.indexer.reading.repeats import Settled
from sosie.indexer.rejects import Reject
from sosie.v1 import product_pb2

_Line: TypeAlias = tuple[int, bool, bytes]
_LIMIT = 600.0  # seconds for the names of one partition, a node's start included
_TRIES = 5


class SurveyedCatalog(Catalog):
    """Reads as a Catalog does, in the same order, but for fields that are not needed to tell which lines count.

    Products have shop, product_id, the ids of their pictures and update_time. Few partitions are held at a time; where
    a node is lost, another reads its partition.
    """

    def __init__(
        self,
        path: Path,
        pieces: Sequence[Partition],
        *,
        ahead: int,
        cleaning: CleaningOptions,
        stopping: Callable[[], bool],
    ) -> None:
        """`pieces` are all of the catalog, in their order; `ahead` of them are read before their names are asked for.

        Ends early once `stopping()`. Raises OSError as a Catalog does.
        """
        super().__init__(path, merger=cleaning.make_merger())
        self._cleaning = cleaning
        self._pieces = pieces
        self._ahead = ahead
        self._stopping = stopping
        self._read_names = ray.remote(num_cpus=1, max_retries=_TRIES)(read_names)

    def _read(self) -> Iterator[Entry | Reject]:
        """Raises OSError where a node cannot read a partition, ClusterError where none does."""
        waiting = deque[tuple[Partition, Any]]()
        pieces = iter(self._pieces)
        while not self._stopping():
            for piece in itertools.islice(pieces, self._ahead - len(waiting)):
                waiting.append((piece, self._read_names.remote(self.path, piece, self._cleaning)))
            if not waiting:
                return
            piece, answer = waiting.popleft()
            for line in _await_names(answer):
                yield _unpack(line, piece.file.name)


def _await_names(answer: Any) -> list[_Line]:
    try:
        names: list[_Line] | str = ray.get(answer, timeout=_LIMIT)
    except RayTaskError:  # a fault in the reading itself
        raise
    except RayError as error:
        raise ClusterError(f"no node reads the catalog: {' '.join(str(error).split())}") from error
    if isinstance(names, str):
        raise OSError(names)
    return names


def read_names(path: Path, piece: Partition, cleaning: CleaningOptions) -> list[_Line] | str:
    """A partition's lines: their numbers, whether they are valid, and their products. A fault is a line of text.

    Runs on a node.
    """
    try:
        return [_pack(found) for found in CleanCatalog(path, cleaning, merger=Settled({}), partition=piece)]
    except OSError as error:
        return describe_os_error(error)


def _pack(found: Entry | Reject) -> _Line:
    if isinstance(found, Reject):
        product = product_pb2.Product(shop=found.shop, product_id=found.product_id)
        return found.line, False, product.SerializeToString()
    whole = found.product
    product = product_pb2.Product(shop=whole.shop, product_id=whole.product_id)
    if whole.HasField("update_time"):
        product.update_time.CopyFrom(whole.update_time)
    for picture in whole.pictures:
        product.pictures.add(id=picture.id)
    return found.line, True, product.SerializeToString()


def _unpack(packed: _Line, file: str) -> Entry | Reject:
    line, valid, raw = packed
    product = product_pb2.Product.FromString(raw)
    if valid:
        return Entry(line, product, file)
    return Reject(line, "", shop=product.shop, product_id=product.product_id, file=file)
