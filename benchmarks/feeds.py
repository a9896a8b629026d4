"""How fast feeds are read, and whether memory grows with them.

    python benchmarks/feeds.py [--offers N,N] [--rounds N] [--rate-offers N] [--most RATIO]

Draws feeds in Yandex YML. `sosie crawl feed` makes catalogs of feeds of N offers, and its largest resident memory by
the kernel's count is compared. Then one of --rate-offers offers is read --rounds times by sosie and by the standard
library's iterparse in turns, both with the same extraction of an offer, and each time the processor's time counts. The
exit status is 1 where sosie reads fewer offers a second than iterparse, or the last feed takes more than --most times
the memory of the first.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from sosie.crawler.feeds import yandex
from sosie.crawler.feeds.offers import Settings
from sosie.crawler.feeds.reading import Feed

SETTINGS = Settings("north")
KIB = 1024
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE yml_catalog SYSTEM "shops.dtd">
<yml_catalog date="2026-11-20 08:00"><shop><name>Север</name>
<categories><category id="1">Женщинам</category><category id="2" parentId="1">Обувь</category></categories>
<offers>
"""
OFFER = """<offer id="{0}" available="true" group_id="g{1}"><url>https://shop.example/p/{0}</url><price>{2}.90</price>
<oldprice>12990</oldprice><currencyId>RUB</currencyId><categoryId>2</categoryId>
<picture>https://img.shop.example/1200/{0}-1.jpg</picture><picture>https://img.shop.example/1200/{0}-2.jpg</picture>
<name>Ботинки замшевые, модель {0}</name><vendor>Окапи</vendor><model>Row {1}</model>
<description><![CDATA[Мягкие ботинки для города. Подошва из резины, подкладка из шерсти, модель {0}.]]></description>
<param name="Цвет">коричневый</param><param name="Размер" unit="EU">{3}</param>
<param name="Материал">замша</param></offer>
"""
TAIL = "</offers></shop></yml_catalog>\n"


def draw_feed(path: Path, count: int) -> Path:
    """A feed of `count` offers, three sizes of each boot."""
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD)
        for number in range(count):
            file.write(OFFER.format(number, number // 3, 1000 + number % 9000, 36 + number % 10))
        file.write(TAIL)
    return path


def read_by_sosie(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in Feed(file, SETTINGS))


def read_by_iterparse(path: Path) -> int:
    """What its documentation shows: each offer is read at its end and let go."""
    count = 0
    categories = yandex.Categories()
    for _, element in ET.iterparse(path):  # noqa: S314 - drawn here
        if element.tag == "category":
            categories.add(element)
        elif element.tag == "offer":
            yandex.read_offer(element, categories, SETTINGS)
            count += 1
            element.clear()
    return count


def time_reading(read: Callable[[Path], int], path: Path) -> float:
    """Offers a second of the processor's time."""
    start = time.process_time()
    count = read(path)
    return count / (time.process_time() - start)


def compare(path: Path, rounds: int) -> float:
    """Prints both rates, and returns the median of their quotients in turns."""
    pairs = [(time_reading(read_by_sosie, path), time_reading(read_by_iterparse, path)) for _ in range(rounds)]
    ours, theirs = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"offers/s of processor time   sosie {ours:,.0f}   iterparse {theirs:,.0f}   quotient {ratio:.2f}")
    return ratio


def crawl(path: Path) -> tuple[float, float]:
    """Seconds of the processor's time, and largest resident memory in MiB, of `sosie crawl feed`.

    Linux counts what this process had before the other program began in it: it must be small until then.
    """
    call = "from sosie.client.cli import main; main()"
    command = [sys.executable, "-c", call, "crawl", "feed", str(path), "--shop", "north"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offers", default="10000,1000000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate-offers", type=int, default=50_000)
    parser.add_argument("--most", type=float, default=1.2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        memory = []
        for count in map(int, arguments.offers.split(",")):
            path = draw_feed(Path(folder, f"{count}.xml"), count)
            seconds, mebibytes = crawl(path)
            size = path.stat().st_size / KIB / KIB
            memory.append(mebibytes)
            print(
                f"{count:>9,} offers, {size:,.0f} MiB   {count / seconds:,.0f} offers/s   {mebibytes:.1f} MiB resident"
            )
            path.unlink()
        ratio = compare(draw_feed(Path(folder, "rate.xml"), arguments.rate_offers), arguments.rounds)
    growth = memory[-1] / memory[0]
    print(f"memory: {growth:.2f} times")
    return int(ratio < 1 or growth > arguments.most)


if __name__ == "__main__":
    sys.exit(main())
