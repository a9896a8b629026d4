"""Spoiled feeds of every kind: each gives products and rejects, or one error in one line."""

import gzip
import io
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from feed_files import FEEDS, NOW, SETTINGS
from fuzz.picture_files import spoil
from fuzz.seeds import choose_seeds, start
from sosie.crawler.catalog_lines import to_line
from sosie.crawler.drafts import build
from sosie.crawler.feeds.errors import FeedError
from sosie.crawler.feeds.reading import Feed
from sosie.crawler.rejects import Unusable

_PIECES = (
    b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
    b"&x;",
    b"&#0;",
    b"&#x110000;",
    b"]]>",
    b"<![CDATA[",
    b"<!--",
    b"</offer>",
    b"<offer>",
    b"<item>",
    b"xmlns:g=''",
    b'"',
    b"\xff\xfe",
    b"\x00",
    b"\xed\xa0\x80",
    b"\n",
    b"\r",
    b";",
    b"9" * 5000,
    b"-1e999",
    b"NaN",
    b"[" * 2000,
    b'{"a":' * 500,
    b"\xf0\x9f\x98\x80",
    b"http://[::1",
    b"javascript:x",
)


def plant(rng: random.Random, data: bytes) -> bytes:
    """The feed with something in it that may mean more than it seems, in place of some of its own."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_PIECES) * rng.choice((1, 1, 1, 3)) + data[at + rng.choice((0, 0, 1, 20)) :]


def make(seed: int) -> bytes:
    rng = start("feed", seed)
    data = FEEDS[rng.choice(sorted(FEEDS))].encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-16")))
    for _ in range(rng.choice((1, 1, 2, 5))):
        data = rng.choice((plant, plant, spoil))(rng, data)
    return gzip.compress(data) if rng.random() < 0.1 else data


def read(data: bytes) -> Iterator[str]:
    """What becomes of each offer, and of the feed: nothing said of a product, else why there is none."""
    try:
        for offer in Feed(io.BytesIO(data), SETTINGS, now=NOW):
            try:
                if isinstance(offer.draft, Unusable):
                    raise offer.draft
                to_line(build(offer.draft).product)
                yield ""
            except Unusable as error:
                yield f"reject: {error}"
    except FeedError as error:
        yield f"error: {error}"


@pytest.mark.timeout(120)
def test_spoiled_feeds() -> None:
    """Every offer of a spoiled feed is a product or a reject, and whatever stops the feed is one line."""
    ends = Counter[str]()
    for seed in choose_seeds(0.125, kept=()):
        try:
            said = list(read(make(seed)))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        assert not any("\n" in line for line in said), seed
        ends.update(line.partition(":")[0] for line in said)
    assert ends.keys() == {"", "reject", "error"}
