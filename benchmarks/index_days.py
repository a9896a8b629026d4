"""What a day costs the indexer, by what changed: luma, eshop and 5,000 drawn products, on both kinds of Milvus.

    python benchmarks/index_days.py [--data ../shared/data] [--products 5000] [--skip-server]

Prints for each day how many pictures were looked at, encoded and written, how many rows there are then, and the time,
and fails where a count is not what the change is worth. The encoder is a double behind Triton's protocol, which counts:
the times are those of everything else (benchmarks/indexing.py has those of a real encoder). The server's are with the
wait for its index.
"""

import argparse
import asyncio
import copy
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from real_catalogs import write_catalog

HERE = Path(__file__).parent


def make_shop(folder: Path, data: Path, products: int) -> "DailyShop":
    """The three catalogs as one, with all their pictures in one folder: links out of it are not followed."""
    images = folder / "images"
    for name in ("luma", "eshop"):
        shutil.copytree(data / name, images / name)
    write_catalog(images, folder / "real.jsonl")
    command = [sys.executable, "-m", "sosie.client", "demo-shop", str(images / "drawn")]
    options = ("--products", str(products), "--views", "1", "--size", "128")
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    drawn = [json.loads(line) for line in (images / "drawn" / "catalog.jsonl").read_text().splitlines()]
    for product in drawn:
        for picture in product["pictures"]:
            picture["path"] = f"drawn/images/{picture['path']}"
    real = [json.loads(line) for line in (folder / "real.jsonl").read_text().splitlines()]
    return DailyShop(folder / "catalog.jsonl", images, drawn + real)


async def measure(name: str, uri: str, folder: Path, shop: "DailyShop") -> None:
    print(f"{name}\n{'':28}{'pictures':>9}{'encoded':>9}{'written':>9}{'rows':>9}{'seconds':>9}")
    summaries = {}
    async with open_index(uri, "sosie", folder) as index:
        async for day, summary in live_through(index, shop):
            counts = "".join(f"{summary[count]:>9,}" for count in ("pictures", "encoded", "written", "rows"))
            print(f"  {day:<26}{counts}{summary['seconds']:>9.1f}", flush=True)
            summaries[day] = summary
    check(summaries, summaries["all new"]["pictures"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--products", type=int, default=5000)
    parser.add_argument("--skip-server", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shop = make_shop(folder, arguments.data, arguments.products)
        again = DailyShop(
            folder / "again.jsonl", shutil.copytree(shop.images, folder / "again"), copy.deepcopy(shop.products)
        )
        asyncio.run(measure("Milvus Lite", str(folder / "index.db"), folder / "lite", shop))
        if not arguments.skip_server:
            unpack_milvus(folder / "milvus")
            with run_milvus(folder / "milvus", folder / "server") as server:
                asyncio.run(measure("Milvus server", server.uri, folder / "run", again))


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent / "tests")]
    from daily import DailyShop, check, live_through, open_index
    from milvus_fixtures import run_milvus, unpack_milvus

    main()
