"""What one search costs the processor of the process that asks, against a bare call.

    python benchmarks/search_cpu.py --models DIR [--views N] [--rounds N] [--calls N]

Asked in turns, all over grpc from one event loop: a bare server (grpc.aio, see gateway_cpu.py) with as many bytes as a
search sends, that answers as many; a canned Milvus (canned.py) by pymilvus' own client in threads; the same by the
store; and a grouped search of ten products by it. What counts is this process's time, user and system, all threads.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from canned import run_canned
from gateway_cpu import run_echo
from pymilvus import MilvusClient

from sosie.engine.milvus import MilvusStore
from sosie.engine.search import Breadth, Wanted, find
from sosie.engine.space import Query
from sosie.engine.store import Filter
from sosie.engine.timing import StepTimes

CALLERS = 8
LIMIT = 40
ROW = 830  # bytes of a canned row in a reply
TIMEOUT = 20.0

Ask = Callable[[], Awaitable[Any]]


async def measure(ask: Ask, calls: int) -> float:
    """Seconds of this process a call."""
    numbers = iter(range(calls))

    async def call() -> None:
        for _ in numbers:
            await ask()

    start = time.process_time()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return (time.process_time() - start) / calls


async def compare(models: Path, views: int, rounds: int, calls: int) -> None:
    with run_canned(models, views=views) as canned, run_echo(LIMIT * ROW) as echo, ThreadPoolExecutor(CALLERS) as pool:
        store = MilvusStore(canned["store"], "sosie")
        space = await store.space(timeout=TIMEOUT)
        vector = np.full(space.size, space.size**-0.5, np.float32)
        query = Query(space, vector, {space.parts[0].name: 1.0})
        breadth = Breadth()
        client = MilvusClient(canned["store"], timeout=TIMEOUT)
        channel = grpc.aio.insecure_channel(echo.address)
        call: Callable[..., Awaitable[Any]] = channel.unary_unary("/Echo/Echo", None, None)
        request = vector.tobytes()

        def by_pymilvus() -> Any:
            return client.search(
                "sosie",
                data=[vector.tolist()],
                limit=LIMIT,
                output_fields=["key", "product_key", "position", "payload"],
                search_params={"metric_type": "IP", "params": {"ef": 512}},
                timeout=TIMEOUT,
                consistency_level="Bounded",
            )

        kinds: dict[str, Ask] = {
            "a bare call": lambda: call(request, timeout=TIMEOUT),
            "pymilvus in threads, 40 rows": lambda: asyncio.get_running_loop().run_in_executor(pool, by_pymilvus),
            "the store, 40 rows": lambda: store.search(vector, limit=LIMIT, filter=Filter(), timeout=TIMEOUT),
            "the store, 12 rows": lambda: store.search(vector, limit=12, filter=Filter(), timeout=TIMEOUT),
            "10 products, grouped": lambda: find(
                store, query, Wanted(), timeout=TIMEOUT, steps=StepTimes(), breadth=breadth
            ),
        }
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(-1, rounds):  # the first warms up
            for kind, ask in kinds.items():
                seconds = await measure(ask, calls)
                if number >= 0:
                    times[kind].append(seconds)
        await channel.close(None)
        client.close()
        await store.close()
    medians = {kind: statistics.median(seconds) for kind, seconds in times.items()}
    for kind, seconds in medians.items():
        print(f"{kind:30} {seconds * 1e6:6.0f} us  {seconds / medians['a bare call']:5.2f} x the bare call")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="where mini was built")
    parser.add_argument("--views", type=int, default=1, help="pictures of a product, each far from the others")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=400, help="calls a round")
    options = parser.parse_args()
    uvloop.run(compare(options.models, options.views, options.rounds, options.calls))


if __name__ == "__main__":
    main()
