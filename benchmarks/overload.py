"""What a gateway still answers when it is asked for more than it can: goodput at 1, 2 and 5 times its capacity.

    python benchmarks/overload.py --models DIR [--deadline 0.5] [--seconds 8] [--rounds 3] [--kinds sentence,picture]

Three kinds of load, each with another bottleneck:

- sentence: every one new, before servers of canned.py whose text model takes 4 requests at once, 40 ms each: the model
  is the bottleneck, at 100 requests a second, and the gateway could do more.
- picture: JPEGs of 90 kB before servers that answer at once, and the gateway on one processor: its own work, decoding
  above all, is the bottleneck.
- stack: sentences before a real Triton with `mini` and a real Milvus Lite with 720 pictures, all on the same machine.

Capacity is the rate of answers to callers that wait for each before they ask again. Then questions arrive at random
times (a Poisson process), whatever became of those before, with a deadline each. An answer is good if it came within
the deadline of the moment when the question was due. Capacity and loads take turns, and of the ratios of each round
the median counts. This process is the load generator and nothing else: its share of a processor is printed, and by how
much the latest hundredth of the questions were sent too late.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import numpy as np
import uvloop
from canned import run_canned
from gateway_cpu import WORDS, make_photo
from gateways import run_gateway

from sosie.local.stack import LocalStack
from sosie.v1 import visual_search_pb2 as pb

CHANNELS = 8
FACTORS = (1, 2, 5)
SERVICE = "/sosie.v1.VisualSearchService"

MODEL_SECONDS, MODEL_SLOTS = 0.04, 4


@dataclass
class Load:
    """What became of the questions of one stretch of `seconds`; times are in seconds."""

    seconds: float
    good: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    late: int = 0
    lag: list[float] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def goodput(self) -> float:
        """Good answers a second."""
        return len(self.good) / self.seconds

    def percentile(self, share: float) -> float:
        return float(np.quantile(self.good, share)) if self.good else float("nan")


class Generator:
    """Asks one kind of question over several connections. Answers are counted, not parsed."""

    def __init__(self, address: str, kind: str, deadline: float) -> None:
        self._deadline = deadline
        self._channels = [
            grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(CHANNELS)
        ]
        method = f"{SERVICE}/{'SearchByImage' if kind == 'picture' else 'SearchByText'}"
        self._calls = itertools.cycle([channel.unary_unary(method, None, None) for channel in self._channels])
        self._requests = make_pictures() if kind == "picture" else make_sentences()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)

    async def ask(self, load: Load, due: float) -> None:
        """Asks once and notes the outcome; `due` is when, on the monotonic clock, the question came up."""
        load.lag.append(time.monotonic() - due)
        try:
            await next(self._calls)(next(self._requests), timeout=self._deadline)
        except grpc.aio.AioRpcError as error:
            load.codes[error.code().name] += 1
        else:
            took = time.monotonic() - due
            if took <= self._deadline:
                load.good.append(took)
            else:
                load.late += 1

    async def saturate(self, callers: int, seconds: float) -> Load:
        """Callers that wait for each answer before they ask again."""
        load = Load(seconds)
        end = time.monotonic() + seconds

        async def call() -> None:
            while (now := time.monotonic()) < end:
                await self.ask(load, now)

        await asyncio.gather(*(call() for _ in range(callers)))
        return load

    async def arrive(self, rate: float, seconds: float, numbers: random.Random) -> Load:
        """Questions at random times, `rate` a second on average, whatever became of those before."""
        load = Load(seconds)
        used = time.process_time()
        start = time.monotonic()
        due, tasks = start, []
        while (due := due + numbers.expovariate(rate)) < start + seconds:
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self.ask(load, due)))
        load.cpu = (time.process_time() - used) / (time.monotonic() - start)
        await asyncio.gather(*tasks)
        return load


def make_sentences() -> Iterator[bytes]:
    """Questions in four words, 65,536 different ones."""
    for words in itertools.cycle(itertools.product(WORDS, repeat=4)):
        yield pb.SearchByTextRequest(sentence=" ".join(words)).SerializeToString()


def make_pictures() -> Iterator[bytes]:
    """The same picture again and again."""
    return itertools.repeat(pb.SearchByImageRequest(image=pb.Image(data=make_photo())).SerializeToString())


@contextlib.contextmanager
def serve(kind: str, models: Path) -> Iterator[str]:
    """The address of a gateway with default settings, before what the kind of load asks for."""
    if kind == "stack":
        with tempfile.TemporaryDirectory() as folder, LocalStack(models, Path(folder) / "state") as stack:
            shop, addresses = Path(folder) / "shop", stack.addresses
            places = ["--store", addresses["store"], "--triton", addresses["triton"], "--models", str(models)]
            for words in (
                ["demo-shop", str(shop)],
                ["index", str(shop / "catalog.jsonl"), "--images", str(shop / "images"), *places],
            ):
                subprocess.run([sys.executable, "-m", "sosie.client", *words], check=True, stdout=subprocess.DEVNULL)
            yield addresses["gateway"]
        return
    delay = MODEL_SECONDS if kind == "sentence" else 0.0
    cpus = {0} if kind == "picture" else ()
    with (
        run_canned(models, delay=delay, slots=MODEL_SLOTS) as addresses,
        run_gateway(addresses, models, cpus=cpus, text_cache=0) as gateway,
    ):
        yield gateway.address


async def overload(kind: str, models: Path, options: argparse.Namespace) -> None:
    """Measures and prints one kind of load."""
    numbers = random.Random(4)
    capacities: list[float] = []
    loads: dict[int, list[tuple[float, Load]]] = {factor: [] for factor in FACTORS}
    with serve(kind, models) as address:
        generator = Generator(address, kind, options.deadline)
        await generator.saturate(options.callers, 2.0)
        for _ in range(options.rounds):
            capacity = (await generator.saturate(options.callers, options.seconds)).goodput
            capacities.append(capacity)
            for factor in FACTORS:
                load = await generator.arrive(factor * capacity, options.seconds, numbers)
                loads[factor].append((load.goodput / capacity, load))
                await asyncio.sleep(2 * options.deadline)  # what is still under way ends
        await generator.close()
    print(f"{kind}: capacity {statistics.median(capacities):.0f} answers/s with {options.callers} callers")
    print("  load   goodput/capacity   refused   past deadline   other   p50 ms   p99 ms   generator   sent late")
    for factor, measured in loads.items():
        report(factor, [ratio for ratio, _ in measured], [load for _, load in measured])


def report(factor: int, ratios: list[float], loads: list[Load]) -> None:
    """A line of the median ratio, with all rounds' questions together."""
    asked = sum(len(load.lag) for load in loads)
    codes = sum((load.codes for load in loads), Counter[str]())
    late = sum(load.late for load in loads) + codes.pop("DEADLINE_EXCEEDED", 0)
    refused = codes.pop("RESOURCE_EXHAUSTED", 0)
    together = Load(1, good=[took for load in loads for took in load.good])
    lag = float(np.quantile([lag for load in loads for lag in load.lag], 0.99))
    print(
        f"  {factor:3}x   {statistics.median(ratios):9.2f} ({min(ratios):.2f}-{max(ratios):.2f}) {refused / asked:9.1%}"
        f" {late / asked:15.1%} {codes.total() / asked:7.1%} {together.percentile(0.5) * 1e3:8.0f}"
        f" {together.percentile(0.99) * 1e3:8.0f} {max(load.cpu for load in loads):11.0%} {lag * 1e3:8.1f} ms"
        + (f"   {dict(codes)}" if codes else "")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="where mini was built")
    parser.add_argument("--kinds", default="sentence,picture,stack")
    parser.add_argument("--deadline", type=float, default=0.5, help="seconds")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each stretch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, default=12, help="that find the capacity")
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, deadline {options.deadline * 1e3:.0f} ms, {options.rounds} rounds")
    for kind in options.kinds.split(","):
        uvloop.run(overload(kind, options.models, options))


if __name__ == "__main__":
    main()
