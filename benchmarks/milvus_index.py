"""What the index of a real Milvus server finds of 100,000 vectors, and how fast: against numpy's exact search.

    python benchmarks/milvus_index.py --store http://localhost:19530 [--index hnsw,diskann] [--rows 100000]

Without `--store` it starts the server of the PyPI package `milvus` (2.3.5; Linux on x86-64, a development environment).
The rows are drawn: four pictures of each product, products in clusters, vectors of four parts; many products have the
same title. Questions lie near to rows, and leave the parts that they do not know zero, as a gateway's do. Each kind is
asked unfiltered, with a filter that one row in a hundred passes and with one that every second does; kinds and filters
take turns, so that a busy machine slows all of them alike.

Of the ten best rows by numpy those are found whose inner product an answer reaches; what ties with the tenth is as good
as it is. Times are those of one caller who waits for each answer, the store's own part of them included.
"""

import argparse
import asyncio
import contextlib
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
from pymilvus import MilvusClient

from sosie.engine.generations import IndexKind, Layout
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import EmbeddingSpace, Part, Parts, Query, Vector, build_query
from sosie.engine.store import Facets, Filter, Row

SPACE = EmbeddingSpace(
    name="drawn-000000000512",
    parts=(
        Part("look", 256, image_weight=1.0),
        Part("colour", 64, image_weight=0.35),
        Part("meaning", 64, text_weight=0.2),
        Part("words", 128, text_weight=1.0),
    ),
    label_part="meaning",
    label_scale=10.0,
)
VIEWS = 4  # pictures of a product
PRODUCTS_A_CLUSTER = 100
PRODUCTS_A_TITLE = 4
RARE = 100  # one row of so many has the rare brand
FILTERS = {"none": Filter(), "1%": Filter(brands=("rare",)), "50%": Filter(in_stock=True)}
KINDS = ("picture", "sentence", "both")
TOP = 10
ROUNDING = 1e-5  # between numpy's inner products and the server's
BATCH = 1_000
TIMEOUT = 120.0
SETTLED_WITHIN = 3_600.0
LEASE = 60  # seconds for which a server may be short of a processor: building an index takes all there are


def unit(vectors: npt.ArrayLike) -> Vector:
    array = np.asarray(vectors, np.float32)
    return np.asarray(array / np.linalg.norm(array, axis=-1, keepdims=True), np.float32)


def draw_vectors(count: int, numbers: np.random.Generator) -> Vector:
    """Of so many pictures, [count, 512]."""
    products = count // VIEWS
    clusters = max(1, products // PRODUCTS_A_CLUSTER)
    cluster = numbers.integers(0, clusters, products)
    title = numbers.integers(0, max(1, products // PRODUCTS_A_TITLE), products)

    def draw(size: int, of_product: float, of_picture: float) -> Vector:
        centres = unit(numbers.normal(size=(clusters, size)))
        of_products = centres[cluster] + of_product * unit(numbers.normal(size=(products, size)))
        return unit(np.repeat(of_products, VIEWS, 0) + of_picture * unit(numbers.normal(size=(count, size))))

    parts = {
        "look": draw(256, 0.9, 0.5),
        "colour": draw(64, 1.2, 0.3),
        "meaning": draw(64, 0.8, 0.3),
        "words": np.repeat(unit(numbers.normal(size=(title.max() + 1, 128)))[title], VIEWS, 0),
    }
    return SPACE.assemble(parts)


def make_row(number: int, vector: Vector) -> Row:
    return Row(
        key=f"{number:032}",
        product_key=f"{number // VIEWS:032}",
        position=number % VIEWS,
        vector=vector,
        facets=Facets("shop", brand="rare" if number % RARE == 0 else "common", in_stock=number % 2 == 0),
        payload=b"x" * 500,
        pictures=VIEWS,
    )


def draw_question(vectors: Vector, kind: str, numbers: np.random.Generator) -> Query:
    """One near to a row, or to the picture of one and the words of another."""

    def near(names: tuple[str, ...]) -> Parts:
        parts = SPACE.split(vectors[numbers.integers(len(vectors))])
        return {name: unit(parts[name] + 0.5 * unit(numbers.normal(size=parts[name].size))) for name in names}

    return build_query(
        SPACE,
        image=near(("look", "colour")) if kind != "sentence" else None,
        text=near(("meaning", "words")) if kind != "picture" else None,
    )


@dataclass
class Found:
    """Of one kind of question under one filter: the share of the best ten found each time, and the seconds it took."""

    shares: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def describe(self) -> str:
        p50, p95, p99 = np.percentile(self.seconds, [50, 95, 99]) * 1000
        return f"{np.mean(self.shares):8.4f} {min(self.shares):6.1f}   {p50:6.1f} {p95:6.1f} {p99:6.1f}"


async def fill(store: MilvusStore, vectors: Vector) -> None:
    """Writes the rows, and waits until the index of all of them is searched."""
    began = time.monotonic()
    for start in range(0, len(vectors), BATCH):
        rows = [make_row(start + i, vector) for i, vector in enumerate(vectors[start : start + BATCH])]
        await store.upsert(rows, timeout=TIMEOUT)
    written = time.monotonic() - began
    await store.flush(timeout=TIMEOUT)
    while not await store.is_settled(timeout=TIMEOUT):
        if time.monotonic() - began > SETTLED_WITHIN:
            sys.exit("the index is not ready yet: give up")
        await asyncio.sleep(1)
    settled = time.monotonic() - began
    count = len(vectors)
    print(f"written    {count / written:8,.0f} rows/s   {written:6.0f} s")
    print(f"searchable {count / settled:8,.0f} rows/s   {settled:6.0f} s, by their index")


async def ask(store: MilvusStore, vectors: Vector, count: int) -> dict[tuple[str, str], Found]:
    """`count` questions of each kind under each filter."""
    numbers = np.random.default_rng(6)
    rows = np.arange(len(vectors))
    passing = {"none": rows, "1%": rows[::RARE], "50%": rows[::2]}
    found: defaultdict[tuple[str, str], Found] = defaultdict(Found)
    for _ in range(count):
        for kind in KINDS:
            query = draw_question(vectors, kind, numbers)
            dots = vectors @ query.vector
            for name, filter in FILTERS.items():  # noqa: A001 - as the store calls it
                began = time.perf_counter()
                matches = await store.search(query.vector, limit=TOP, filter=filter, timeout=TIMEOUT)
                one = found[kind, name]
                one.seconds.append(time.perf_counter() - began)
                tenth = np.partition(dots[passing[name]], -TOP)[-TOP]
                one.shares.append(sum(match.dot >= tenth - ROUNDING for match in matches) / TOP)
    return found


async def measure(uri: str, kind: IndexKind, rows: int, questions: int) -> None:
    store = MilvusStore(uri, f"benchmark_{secrets.token_hex(4)}")
    vectors = draw_vectors(rows, np.random.default_rng(5))
    try:
        await store.create(SPACE, layout=Layout(index=kind, rows=rows), timeout=TIMEOUT)
        print(f"\n{kind}, {rows:,} rows of {SPACE.size} numbers")
        await fill(store, vectors)
        await ask(store, vectors, 5)  # the first of each read from disk what the others find in memory
        print(f"{'question':10} {'filter':6} recall@{TOP}  least      p50    p95    p99 ms")
        for (asked, name), found in (await ask(store, vectors, questions)).items():
            print(f"{asked:10} {name:6} {found.describe()}")
    finally:
        client = MilvusClient(uri, timeout=TIMEOUT)
        for generation in await store.generations(timeout=TIMEOUT):
            client.drop_alias(store.collection, timeout=TIMEOUT)
            client.drop_collection(generation.collection.name, timeout=TIMEOUT)
        client.close()
        await store.close()


@contextlib.contextmanager
def serve(uri: str) -> Iterator[str]:
    if uri:
        yield uri
        return
    sys.path[:0] = [str(Path(__file__).parent.parent / "tests")]
    from milvus_fixtures import run_milvus, unpack_milvus  # noqa: PLC0415 -- needs the path

    with tempfile.TemporaryDirectory(prefix="milvus-") as folder:
        binaries = Path(folder) / "bin"
        unpack_milvus(binaries)
        with run_milvus(binaries, Path(folder) / "server", lease=LEASE) as server:
            yield server.uri


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="", metavar="URI", help="a Milvus server; without it one is started")
    parser.add_argument("--index", default="hnsw", help=f"kinds, by commas: {', '.join(get_args(IndexKind))}")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200, help="of each kind under each filter")
    options = parser.parse_args()
    with serve(options.store) as uri:
        for kind in options.index.split(","):
            asyncio.run(measure(uri, kind, options.rows, options.questions))


if __name__ == "__main__":
    main()
