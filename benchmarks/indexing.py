"""How near indexing comes to what the encoder can do.

    python benchmarks/indexing.py --models DIR [--encoder device|triton] [--pictures N] [--rounds N] [--least SHARE]

In turns: the encoder alone, which is sent pictures and sentences that were prepared before, always --alone requests at
a time; and the job over a catalog of the same pictures, which reads, compares, decodes, encodes and writes to a new
collection in Milvus Lite. The flush that comes once in the end, however long the run, is listed apart. What counts is
the ratio of the two rates, the median over the rounds; the exit status is 1 where it is below --least.

`device` is an encoder that has a processor of its own, as on a GPU: it answers one request at a time, each after
--delay, and computes nothing (canned.py). `triton` is a real one with the bundle in DIR, on the processors that the job
needs too: there, what the job does beside encoding is missing from the encoder.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from canned import run_canned
from PIL import Image

from sosie.engine.image import prepare
from sosie.engine.inference import Encoder, Pictures, Tokens
from sosie.engine.milvus import MilvusStore
from sosie.engine.text import Tokenizer, words_sentence
from sosie.indexer.catalog import Catalog
from sosie.indexer.embedding import MAX_SENTENCES
from sosie.indexer.encoding.servers import Servers
from sosie.indexer.encoding.spreading import SpreadEncoder
from sosie.indexer.job import Job, JobOptions
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.rejects import RejectsFile
from sosie.indexer.report import Report
from sosie.local.triton import LocalTriton

TIMEOUT = 120.0
SIDE = 320  # pixels
COLOURS = ("red", "blue", "black", "white", "brown", "green", "grey", "yellow")
THINGS = ("boot", "sneaker", "sandal", "dress", "coat", "shirt", "bag", "hat")


@dataclass(frozen=True)
class Drawn:
    """A catalog, and what its pictures and sentences come to for the encoder, in requests."""

    catalog: Path
    images: Path
    pictures: Sequence[Pictures]
    tokens: Sequence[Tokens]
    count: int


def draw_products(folder: Path, count: int) -> Path:
    """A catalog of products with one picture each, all different: soft spots of colour, as large as a photograph."""
    numbers = np.random.default_rng(11)
    names = itertools.cycle(itertools.product(COLOURS, THINGS))
    (folder / "images").mkdir()
    lines = []
    for number, (colour, thing) in zip(range(count), names, strict=False):
        spots = Image.fromarray(numbers.integers(0, 255, (24, 24, 3), np.uint8))
        picture = io.BytesIO()
        spots.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(picture, "JPEG", quality=90)
        (folder / "images" / f"{number}.jpg").write_bytes(picture.getvalue())
        product = {
            "shop": "north",
            "product_id": str(number),
            "title": f"{colour} {thing} number {number}",
            "brand": "Norden",
            "category_path": ["Women", thing],
            "pictures": [{"id": "1", "path": f"{number}.jpg"}],
            "attributes": {"colour": colour},
        }
        lines.append(json.dumps(product))
    (folder / "catalog.jsonl").write_text("\n".join(lines))
    return folder / "catalog.jsonl"


def prepare_requests(catalog: Path, encoder: Encoder, tokenizer: Tokenizer) -> Drawn:
    products = [json.loads(line) for line in catalog.read_text().splitlines()]
    images = catalog.parent / "images"
    pictures = [
        prepare((images / product["pictures"][0]["path"]).read_bytes(), encoder.image_input) for product in products
    ]
    sentences = [
        words_sentence(product["title"], product["brand"], product["category_path"], product["attributes"])
        for product in products
    ]
    rows, most = min(32, encoder.max_pictures), min(MAX_SENTENCES, encoder.max_sentences)
    return Drawn(
        catalog,
        images,
        [np.stack(pictures[start : start + rows]) for start in range(0, len(pictures), rows)],
        [tokenizer.encode(sentences[start : start + most]) for start in range(0, len(sentences), most)],
        len(products),
    )


async def time_encoder(drawn: Drawn, encoder: Encoder, at_once: int) -> float:
    """Pictures a second of the encoder alone."""

    async def send(requests: Iterator[Any], ask: Callable[[Any], Awaitable[object]]) -> None:
        for request in requests:
            await ask(request)

    start = time.perf_counter()
    pictures, tokens = iter(drawn.pictures), iter(drawn.tokens)
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(send(pictures, lambda batch: encoder.encode_images(batch, timeout=TIMEOUT)))
            group.create_task(send(tokens, lambda batch: encoder.encode_texts(batch, timeout=TIMEOUT)))
    return drawn.count / (time.perf_counter() - start)


async def time_job(drawn: Drawn, encoder: Encoder, tokenizer: Tokenizer) -> tuple[float, float]:
    """Pictures a second of the job into an empty collection, and the seconds of the flush that follows."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        store = MilvusStore(str(folder / "index.db"), "sosie")
        try:
            await store.create(encoder.space, timeout=TIMEOUT)
            report = Report(stack.enter_context(RejectsFile(folder / "rejects.jsonl")))
            job = Job(
                catalog=Catalog(drawn.catalog),
                folder=PictureFolder(drawn.images),
                encoder=encoder,
                tokenizer=tokenizer,
                store=store,
                report=report,
                pool=stack.enter_context(ThreadPoolExecutor(os.cpu_count() or 1)),
                options=JobOptions(twins=folder / "twins.sqlite", settle=False),
            )
            start = time.perf_counter()
            await job.run()
            seconds = time.perf_counter() - start
            await store.flush(timeout=TIMEOUT)
            flushing = time.perf_counter() - start - seconds
        finally:
            await store.close()
    assert report.indexed == drawn.count, report.as_dict()
    return drawn.count / seconds, flushing


async def measure(address: str, models: Path, options: argparse.Namespace) -> float:
    """The median ratio."""
    servers = Servers(address, TIMEOUT)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            await servers.connect()
            (encoder,) = servers.encoders().values()
            tokenizer = Tokenizer.find(models, encoder.text_input)
            drawn = prepare_requests(draw_products(Path(scratch), options.pictures), encoder, tokenizer)
            ratios = []
            print("encoder alone   indexing   ratio   processor, ms a picture   in flight   flush")
            for _ in range(options.rounds):
                own = await time_encoder(drawn, encoder, options.alone)
                spread = SpreadEncoder(servers.replicas(encoder.space.name))
                used = time.process_time()
                rate, flushing = await time_job(drawn, spread, tokenizer)
                used = (time.process_time() - used) / drawn.count * 1000
                ratios.append(rate / own)
                limit = spread.replicas[0].images.limit
                print(
                    f"{own:11.1f}/s {rate:8.1f}/s {rate / own:7.2f} {used:25.2f} {limit:11} {flushing:5.1f} s",
                    flush=True,
                )
        finally:
            await servers.close()
    return statistics.median(ratios)


@contextlib.contextmanager
def serve(models: Path, options: argparse.Namespace) -> Iterator[str]:
    if options.encoder == "device":
        with run_canned(models, delay=options.delay / 1000, slots=1) as addresses:
            yield addresses["triton"]
    else:
        with tempfile.TemporaryDirectory() as state, LocalTriton(models, Path(state)) as triton:
            yield triton.grpc_address


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_repository"))
    parser.add_argument("--encoder", choices=["device", "triton"], default="device")
    parser.add_argument("--delay", type=float, default=250.0, help="milliseconds a request, of the device")
    parser.add_argument("--alone", type=int, default=8, help="requests in flight at the encoder alone")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, default=0.9)
    options = parser.parse_args()
    with serve(options.models, options) as address:
        ratio = uvloop.run(measure(address, options.models, options))
    print(f"indexing runs at {ratio:.0%} of the encoder's own rate, the median of {options.rounds} rounds")
    if ratio < options.least:
        sys.exit(1)


if __name__ == "__main__":
    main()
