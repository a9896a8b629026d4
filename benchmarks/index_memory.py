"""Whether the indexer's memory grows with the catalog.

    python benchmarks/index_memory.py [--products N,N,...] [--most RATIO]

Draws catalogs of N products with a tiny picture each, and lets `sosie index` take each of them into a collection of its
own on a real Milvus server, twice: everything is new, then nothing is. Encoders are made up and served over KServe's
protocol by this process. What counts is the largest resident memory of the indexer's process, by the kernel's count.
The exit status is 1 where the last catalog takes more than --most times the memory of the first.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LIMIT = 3600.0
SIDE = 12  # pixels


def draw_catalog(folder: Path, count: int) -> Path:
    """A catalog of `count` products, and below `folder`/images a picture for each, all of them different."""
    numbers = np.random.default_rng(count)
    lines = []
    for number in range(count):
        path = Path(f"{number // 1000}") / f"{number}.png"
        (folder / "images" / path.parent).mkdir(parents=True, exist_ok=True)
        pixels = numbers.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / path, compress_level=1)
        lines.append(json.dumps(make_product(number, str(path))))
    catalog = folder / "catalog.jsonl"
    catalog.write_text("\n".join(lines))
    return catalog


def make_product(number: int, path: str) -> dict[str, Any]:
    """A product as large as shops' are: half a kilobyte."""
    return {
        "shop": "north",
        "product_id": f"{number:06}",
        "title": f"Suede ankle boot with a low heel, number {number}",
        "brand": "Norden",
        "category_path": ["Women", "Shoes", "Boots"],
        "price": {"currency_code": "EUR", "units": "89"},
        "url": f"https://shop.example/women/shoes/boots/suede-ankle-boot-with-a-low-heel-{number}",
        "pictures": [{"id": "1", "path": path, "url": f"https://img.shop.example/1200/{number}-1.jpg"}],
        "availability": "IN_STOCK",
        "attributes": {"colour": "brown", "material": "suede", "season": "autumn"},
        "description": "Lined, with a rubber sole. " * 6,
    }


@contextmanager
def serve_encoders(models: Path) -> Iterator[str]:
    """A Triton with made up encoders in a thread of this process; gives its address."""
    from canned_triton import run_canned  # noqa: PLC0415 -- needs the path
    from served_fake import ServedFake  # noqa: PLC0415

    serving, ending = threading.Event(), threading.Event()
    addresses: list[str] = []

    async def serve() -> None:
        async with run_canned(ServedFake(models)) as triton:
            addresses.append(triton.address)
            serving.set()
            await asyncio.to_thread(ending.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert serving.wait(60)
    try:
        yield addresses[0]
    finally:
        ending.set()
        thread.join(60)


def index(*arguments: object) -> tuple[dict[str, Any], int]:
    """The summary of one run of `sosie index`, and the most memory that its process had, in bytes."""
    command = [sys.executable, "-m", "sosie.client", "index", *map(str, arguments), "--json"]
    most = 0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        while process.poll() is None:
            most = max(most, read_peak(process.pid))
            time.sleep(0.05)
        out.seek(0)
        summary: dict[str, Any] = json.loads(out.read() or b"{}")
        errors.seek(0)
        said = errors.read().decode()
    if process.returncode:
        raise SystemExit(f"sosie index ended with {process.returncode}: {said[-2000:]}")
    return summary, most


def read_peak(pid: int) -> int:
    """The most bytes that a process had in memory so far; wait4 would tell of its parent's, from before the exec."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def measure(counts: list[int]) -> list[int]:
    """The most memory of a run over each catalog, in bytes."""
    sys.path[:0] = [str(Path(__file__).parent.parent / "tests")]
    from milvus_fixtures import run_milvus, unpack_milvus  # noqa: PLC0415 -- needs the path

    most = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        binaries, models = folder / "binaries", folder / "models"
        binaries.mkdir()
        models.mkdir()
        unpack_milvus(binaries)
        with run_milvus(binaries, folder / "milvus") as server, serve_encoders(models) as triton:
            for count in counts:
                catalog = draw_catalog(folder / str(count), count)
                places = ("--images", catalog.parent / "images", "--triton", triton, "--models", models)
                target = ("--store", server.uri, "--collection", f"c{count}", "--state", folder / "state")
                memory = []
                for run in ("new", "unchanged"):
                    start = time.monotonic()
                    summary, used = index(catalog, *places, *target)
                    assert summary["indexed" if run == "new" else "unchanged"] == count, summary
                    seconds = time.monotonic() - start
                    print(f"{count:>9,} products, {run:9}  {used / 2**20:7.1f} MiB  {seconds:6.0f} s", flush=True)
                    memory.append(used)
                most.append(max(memory))
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--products", default="10000,100000", help="how many, catalog by catalog")
    parser.add_argument("--most", type=float, default=1.3, help="what the last may take, in times of the first")
    options = parser.parse_args()
    most = measure([int(count) for count in options.products.split(",")])
    ratio = most[-1] / most[0]
    print(f"{most[0] / 2**20:.1f} MiB -> {most[-1] / 2**20:.1f} MiB: {ratio:.2f} x")
    if ratio > options.most:
        raise SystemExit(f"more than {options.most:g} x")


if __name__ == "__main__":
    main()
