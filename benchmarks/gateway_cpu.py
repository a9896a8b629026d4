"""What a request costs the gateway's process, against a bare echo and beside the decoder.

    python benchmarks/gateway_cpu.py --models DIR [--views N] [--rounds N] [--requests N]

The gateway runs before servers that answer at once (canned.py), so that nothing but its own work is counted. Beside it
runs the least that a gRPC server in Python can be: grpc.aio on uvloop, whose handler sends back bytes of the gateway's
size. Both are asked in turns, and what counts is the processor's time of each process (user and system, all threads),
which a busy machine stretches less than it does the wall's.

Printed are: processor time a request of each kind of question as a multiple of the echo's; and of a picture, what is
left in milliseconds when the decoder alone, run over the same bytes in this process, is taken off.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from canned import run_canned
from gateways import RunningGateway, run_gateway
from PIL import Image

from sosie.engine.image import prepare
from sosie.engine.inference import ImageInput
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

CHANNELS = 4
DECODERS = 4
CALLERS = 16
DEADLINE = 20.0
WORDS = ("red", "blue", "black", "suede", "leather", "wool", "boot", "sneaker", "dress", "coat", "striped")
PLACES = 4
"""Words in a sentence: 14,641 different ones."""

ECHO = """
import asyncio, sys, grpc, grpc.aio, uvloop
reply = b"x" * int(sys.argv[1])
async def answer(request, context):
    return reply
async def serve():
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Echo", {"Echo": handler})])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()
uvloop.run(serve())
"""

Ask = Callable[[int], Awaitable[Any]]


@contextlib.contextmanager
def run_echo(size: int) -> Iterator[RunningGateway]:
    """The bare server, which answers `size` bytes."""
    with subprocess.Popen([sys.executable, "-c", ECHO, str(size)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield RunningGateway(f"127.0.0.1:{process.stdout.readline().strip()}", [process.pid])
        finally:
            process.kill()


async def measure(server: RunningGateway, ask: Ask, requests: int) -> float:
    """Seconds of the server's processor a request."""
    numbers = iter(range(requests))

    async def call() -> None:
        for number in numbers:
            await ask(number)

    before = server.cpu()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return (server.cpu() - before) / requests


class Asker:
    """The kinds of question, asked over several connections."""

    def __init__(self, server: RunningGateway, photo: bytes) -> None:
        self._channels = [
            grpc.aio.insecure_channel(server.address, options=(("grpc.use_local_subchannel_pool", 1),))
            for _ in range(CHANNELS)
        ]
        self._stubs: Sequence[Any] = [visual_search_pb2_grpc.VisualSearchServiceStub(c) for c in self._channels]
        self._photo = photo
        self._asked = itertools.count()

    def sentence(self, number: int) -> str:
        return " ".join(WORDS[number // len(WORDS) ** place % len(WORDS)] for place in range(PLACES))

    async def new_text(self, number: int) -> Any:
        """A sentence that was not asked before, unless 14,641 others were."""
        request = pb.SearchByTextRequest(sentence=self.sentence(next(self._asked)))
        return await self._stubs[number % CHANNELS].SearchByText(request, timeout=DEADLINE)

    async def known_text(self, number: int) -> Any:
        """One of eleven sentences."""
        request = pb.SearchByTextRequest(sentence=WORDS[number % len(WORDS)])
        return await self._stubs[number % CHANNELS].SearchByText(request, timeout=DEADLINE)

    async def picture(self, number: int) -> Any:
        request = pb.SearchByImageRequest(image=pb.Image(data=self._photo))
        return await self._stubs[number % CHANNELS].SearchByImage(request, timeout=DEADLINE)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)


class EchoAsker:
    """The bare server, asked with as many bytes over as many connections."""

    def __init__(self, server: RunningGateway, request: bytes) -> None:
        self._channels = [
            grpc.aio.insecure_channel(server.address, options=(("grpc.use_local_subchannel_pool", 1),))
            for _ in range(CHANNELS)
        ]
        self._calls: Sequence[Any] = [channel.unary_unary("/Echo/Echo", None, None) for channel in self._channels]
        self._request = request

    async def ask(self, number: int) -> Any:
        return await self._calls[number % CHANNELS](self._request, timeout=DEADLINE)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)


def make_photo() -> bytes:
    """A JPEG of 800 x 600 pixels with the detail of a photograph."""
    numbers = np.random.default_rng(5)
    coarse = Image.fromarray(numbers.integers(0, 255, (30, 40, 3), np.uint8)).resize((800, 600), 3)
    noise = numbers.integers(-12, 12, (600, 800, 3))
    file = io.BytesIO()
    Image.fromarray((np.asarray(coarse, np.int16) + noise).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def time_decoder(photo: bytes, repeats: int = 100) -> float:
    """Seconds of the processor that the decoder takes for it, alone, in as many threads as the gateway has for it."""
    start = time.process_time()
    with ThreadPoolExecutor(DECODERS) as pool:
        for _ in pool.map(lambda _: prepare(photo, ImageInput(224, "longest")), range(repeats)):
            pass
    return (time.process_time() - start) / repeats


async def compare(models: Path, *, views: int, rounds: int, requests: int) -> None:
    photo = make_photo()
    with run_canned(models, views=views) as canned, run_gateway(canned, models, slots=2 * CALLERS) as gateway:
        asker = Asker(gateway, photo)
        reply = await asker.new_text(0)
        with run_echo(reply.ByteSize()) as echo:
            text_echo = EchoAsker(echo, pb.SearchByTextRequest(sentence=asker.sentence(0)).SerializeToString())
            picture_echo = EchoAsker(echo, pb.SearchByImageRequest(image=pb.Image(data=photo)).SerializeToString())
            kinds: dict[str, tuple[RunningGateway, Ask, int]] = {
                "echo": (echo, text_echo.ask, 4 * requests),
                "echo of a picture": (echo, picture_echo.ask, requests),
                "sentence, new": (gateway, asker.new_text, requests),
                "sentence, known": (gateway, asker.known_text, requests),
                "picture": (gateway, asker.picture, requests // 4),
            }
            times: dict[str, list[float]] = {kind: [] for kind in [*kinds, "decoder"]}
            for round_number in range(-1, rounds):  # the first warms up
                for kind, (server, ask, count) in kinds.items():
                    seconds = await measure(server, ask, count if round_number >= 0 else count // 4)
                    if round_number >= 0:
                        times[kind].append(seconds)
                if round_number >= 0:
                    times["decoder"].append(time_decoder(photo))
            for opened in (text_echo, picture_echo, asker):
                await opened.close()
    report({kind: statistics.median(seconds) for kind, seconds in times.items()}, len(photo))


def report(seconds: dict[str, float], size: int) -> None:
    for kind in ("echo", "sentence, new", "sentence, known"):
        print(f"{kind:20} {seconds[kind] * 1e6:7.0f} us   {seconds[kind] / seconds['echo']:5.2f} x the echo")
    left = seconds["picture"] - seconds["decoder"]
    print(f"{'picture':20} {seconds['picture'] * 1e6:7.0f} us   {size:,} bytes of JPEG")
    print(f"{'  the decoder alone':20} {seconds['decoder'] * 1e6:7.0f} us")
    print(f"{'  what is left':20} {left * 1e6:7.0f} us   {left * 1e3:5.2f} ms", end="")
    print(f"   (an echo of such a request: {seconds['echo of a picture'] * 1e3:.2f} ms)")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="where mini was built")
    parser.add_argument("--views", type=int, default=1, help="pictures of a product: several take a second search")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000, help="sentences a round")
    options = parser.parse_args()
    uvloop.run(compare(options.models, views=options.views, rounds=options.rounds, requests=options.requests))


if __name__ == "__main__":
    main()
