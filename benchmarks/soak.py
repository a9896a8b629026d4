"""Whether a gateway keeps what it takes: memory, file descriptors and threads over half an hour's worth of requests.

    python benchmarks/soak.py --models DIR [--rate 50] [--minutes 30] [--warm-up 0.2] [--workers 1]

Asks `--rate` x `--minutes` requests of all kinds, as fast as they are answered, over connections that are closed and
opened again, before servers of canned.py: sentences new and known, pictures small and large, classifications,
questions with filters and many hits, wrong ones (blank sentences, bytes that are no picture, one beyond the bounds in
pixels, a message beyond the bound in bytes, unknown weights), calls with a deadline too short, and calls that are
cancelled.

After a `--warm-up`, in which caches fill and threads start, the gateway's own memory (resident, less what it shares)
is read at 40 points. Printed are the growth from the first fifth of them to the last, by their medians, the slope of a
line through all of them for each 100,000 requests, files and threads at both ends, and what became of the requests.
"""

import argparse
import asyncio
import io
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from canned import run_canned
from gateway_cpu import WORDS, make_photo
from gateways import RunningGateway, Used, run_gateway
from PIL import Image

from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

CALLERS = 16
POINTS = 40
DEADLINE = 20.0
TEXT_CACHE = 1024
EXPECTED = {"OK or cancelled", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
LARGE = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]

Ask = Callable[[Any], Awaitable[Any]]


class Mixture:
    """Questions of all kinds, drawn in fixed proportions."""

    def __init__(self, seed: int) -> None:
        self._numbers = random.Random(seed)
        small, large = _save(Image.new("RGB", (64, 64), "teal"), "PNG"), make_photo()
        bomb = _save(Image.new("1", (20_000, 20_000)), "PNG")
        kinds: list[tuple[int, Ask]] = [
            (30, lambda stub: stub.SearchByText(self._text(), timeout=DEADLINE)),
            (20, lambda stub: stub.SearchByText(pb.SearchByTextRequest(sentence="red boot"), timeout=DEADLINE)),
            (6, lambda stub: stub.SearchByText(self._wide(), timeout=DEADLINE)),
            (10, lambda stub: stub.SearchByImage(_picture(small), timeout=DEADLINE)),
            (4, lambda stub: stub.SearchByImage(_picture(large), timeout=DEADLINE)),
            (6, lambda stub: stub.Classify(pb.ClassifyRequest(image=_picture(small).image), timeout=DEADLINE)),
            (4, lambda stub: stub.SearchByText(pb.SearchByTextRequest(sentence=" "), timeout=DEADLINE)),
            (4, lambda stub: stub.SearchByImage(_picture(b"no picture" * 1000), timeout=DEADLINE)),
            (3, lambda stub: stub.SearchByImage(_picture(large[: len(large) // 2]), timeout=DEADLINE)),
            (1, lambda stub: stub.SearchByImage(_picture(bomb), timeout=DEADLINE)),
            (3, lambda stub: stub.SearchByText(self._unknown(), timeout=DEADLINE)),
            (3, lambda stub: stub.SearchByText(self._text(), timeout=0.001)),
            (6, lambda stub: _cancel(stub.SearchByText(self._text(), timeout=DEADLINE), self._numbers)),
        ]
        self._weights = [weight for weight, _ in kinds]
        self._kinds = [ask for _, ask in kinds]
        self._too_large = _picture(bytes(24 * 2**20))

    def draw(self) -> Ask:
        """A kind of question; one in 2,000 is larger than a message may be."""
        if self._numbers.random() < 1 / 2000:
            return lambda stub: stub.SearchByImage(self._too_large, timeout=DEADLINE)
        return self._numbers.choices(self._kinds, self._weights)[0]

    def _text(self) -> pb.SearchByTextRequest:
        return pb.SearchByTextRequest(sentence=" ".join(self._numbers.choices(WORDS, k=6)))

    def _wide(self) -> pb.SearchByTextRequest:
        wanted = pb.Filter(brands=[f"brand {self._numbers.randrange(10**6)}"], in_stock=True)
        return pb.SearchByTextRequest(sentence="wool coat", options=pb.SearchOptions(top_k=100, filter=wanted))

    def _unknown(self) -> pb.SearchByTextRequest:
        weights = {f"part {self._numbers.randrange(10**6)}": 1.0}
        return pb.SearchByTextRequest(sentence="coat", options=pb.SearchOptions(weights=weights))


def _picture(data: bytes) -> pb.SearchByImageRequest:
    return pb.SearchByImageRequest(image=pb.Image(data=data))


def _save(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


async def _cancel(call: Any, numbers: random.Random) -> None:
    """Cancels a call at some moment of its life."""
    try:
        await asyncio.wait_for(asyncio.shield(call), numbers.random() * 0.02)
    except TimeoutError:
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


class Soak:
    """Requests in a row of stretches, each over connections of its own."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.codes: Counter[str] = Counter()
        self._gateway = gateway
        self._mixture = Mixture(9)

    async def run(self, count: int) -> Used:
        """Asks so many requests, and gives what the gateway holds after them."""
        numbers = iter(range(count))
        await asyncio.gather(*(self._call(numbers) for _ in range(CALLERS)))
        return self._gateway.used()

    async def _call(self, numbers: Any) -> None:
        async with grpc.aio.insecure_channel(self._gateway.address, options=LARGE) as channel:
            stub = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
            for _ in numbers:
                try:
                    await self._mixture.draw()(stub)
                    self.codes["OK or cancelled"] += 1
                except grpc.aio.AioRpcError as error:
                    self.codes[error.code().name] += 1


async def soak(options: argparse.Namespace) -> None:
    total = round(options.rate * options.minutes * 60)
    start = time.monotonic()
    with (
        run_canned(options.models, views=2) as addresses,
        run_gateway(
            addresses, options.models, workers=options.workers, slots=CALLERS, text_cache=TEXT_CACHE
        ) as gateway,
    ):
        soaking = Soak(gateway)
        await soaking.run(round(total * options.warm_up))
        counts = np.arange(1, POINTS + 1) * round(total / POINTS)
        points = [await soaking.run(round(total / POINTS)) for _ in range(POINTS)]
    memory = [point.memory / 2**20 for point in points]
    first, last = statistics.median(memory[: POINTS // 5]), statistics.median(memory[-POINTS // 5 :])
    slope = float(np.polyfit(counts, memory, 1)[0]) * 100_000
    print(
        f"{counts[-1]:,} requests after {round(total * options.warm_up):,} to warm up, {time.monotonic() - start:.0f} s"
    )
    print(
        f"memory   {first:.1f} MiB -> {last:.1f} MiB: {last / first - 1:+.1%}   {slope:+.2f} MiB per 100,000 requests"
    )
    print(f"files    {points[0].files} -> {points[-1].files}")
    print(f"threads  {points[0].threads} -> {points[-1].threads}")
    print("         " + ", ".join(f"{name} {count:,}" for name, count in soaking.codes.most_common()))
    if unexpected := soaking.codes.keys() - EXPECTED:
        raise SystemExit(f"nobody should have been told {', '.join(sorted(unexpected))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="where mini was built")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second that a gateway should bear")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warm-up", type=float, default=0.2, help="requests before, as a share of those that count")
    parser.add_argument("--workers", type=int, default=1)
    uvloop.run(soak(parser.parse_args()))


if __name__ == "__main__":
    main()
