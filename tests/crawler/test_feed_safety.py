"""Encodings, packings, entities, and feeds that are damaged or made to harm."""

import gzip
import io
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from feed_files import BASE, FEEDS, SETTINGS, YANDEX, read_drafts, read_products
from sosie.crawler.feeds import elements, lines
from sosie.crawler.feeds.elements import read_elements
from sosie.crawler.feeds.errors import FeedError
from sosie.crawler.feeds.formats import Format
from sosie.crawler.feeds.reading import Feed
from sosie.crawler.rejects import Unusable

RUSSIAN = f"""<?xml version="1.0" encoding="UTF-8"?>
<yml_catalog><shop><offers><offer id="1"><name>Ботинки замшевые</name><picture>{BASE}/1.jpg</picture></offer></offers>
</shop></yml_catalog>"""


def read_all(feed: str | bytes, **options: Any) -> None:
    """Reads a feed to its end."""
    for _ in Feed(io.BytesIO(feed.encode() if isinstance(feed, str) else feed), SETTINGS, **options):
        pass


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1251", "KOI8-R", "utf-16", "ISO-8859-5", "cp866"])
def test_declared_encodings(encoding: str) -> None:
    """A feed is read in the encoding that its declaration or its byte order mark names."""
    feed = RUSSIAN.replace("UTF-8", encoding.removesuffix("-sig")).encode(encoding)
    assert read_products(feed)[0].title == "Ботинки замшевые"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_unmarked_utf_16(encoding: str) -> None:
    """UTF-16 without a mark is known by how a declaration looks in it."""
    assert read_products(RUSSIAN.replace("UTF-8", "utf-16").encode(encoding))[0].title == "Ботинки замшевые"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "windows-1251"])
def test_encoding_of_a_table(encoding: str) -> None:
    """A table declares no encoding: it is UTF-8, or the one that is named."""
    feed = f"id;name;picture\n1;Ботинки;{BASE}/1.jpg\n".encode(encoding)
    assert read_products(feed, encoding="" if "sig" in encoding else encoding)[0].title == "Ботинки"


def test_wrong_encoding() -> None:
    """A name whose bytes the declared encoding does not have rejects its offer, not the feed."""
    with pytest.raises(Unusable, match="another encoding"):
        read_products(RUSSIAN.encode("windows-1251"))


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "zlib"])
def test_unknown_encodings(encoding: str) -> None:
    """An encoding that Python does not have, or that is none of text, is refused by name."""
    with pytest.raises(FeedError, match=f"{encoding}"):
        read_all(RUSSIAN, encoding=encoding)


@pytest.mark.parametrize("kind", FEEDS)
def test_gzip(kind: str) -> None:
    """Every kind may be packed by gzip, in several members too."""
    feed = FEEDS[kind].encode()
    packed = gzip.compress(feed[:100]) + gzip.compress(feed[100:])
    assert read_products(packed) == read_products(feed)


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_cut_off_gzip(cut: int) -> None:
    """A packed feed that is cut off is refused: half a feed must not pass for a whole one."""
    with pytest.raises(FeedError, match="damaged or cut off"):
        read_all(gzip.compress(YANDEX.encode())[:-cut])


def test_cut_off_xml() -> None:
    """XML that is cut off is refused, with the line where it ends."""
    with pytest.raises(FeedError, match="not well-formed XML: no element found: line 10"):
        read_all(YANDEX[: YANDEX.index("<offer ")])


def with_doctype(doctype: str, name: str = "Boot") -> str:
    return YANDEX.replace('<!DOCTYPE yml_catalog SYSTEM "shops.dtd">', doctype).replace("Suede boot", name)


LAUGHS = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 10))


@pytest.mark.parametrize(
    ("doctype", "name"),
    [
        (f'<!DOCTYPE yml_catalog [<!ENTITY l0 "lol">{LAUGHS}]>', "&l9;"),
        (f'<!DOCTYPE yml_catalog [<!ENTITY big "{"x" * 60_000}">]>', "&big;" * 1000),
        ('<!DOCTYPE yml_catalog [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "&x;"),
        ('<!DOCTYPE yml_catalog [<!ENTITY x SYSTEM "http://127.0.0.1:1/">]>', "&x;"),
        ('<!DOCTYPE yml_catalog [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd">%p;]>', "Boot"),
        ("<!DOCTYPE yml_catalog [<!ENTITY harmless 'Boot'>]>", "&harmless;"),
        ('<!DOCTYPE yml_catalog [<!NOTATION n SYSTEM "n"><!ENTITY x SYSTEM "x.gif" NDATA n>]>', "Boot"),
    ],
    ids=["laughs", "quadratic", "file", "address", "parameter", "internal", "unparsed"],
)
def test_entities_are_refused(doctype: str, name: str) -> None:
    """A feed that declares an entity of any kind is refused before the entity could be used."""
    with pytest.raises(FeedError, match="declares an entity"):
        read_all(with_doctype(doctype, name))


def test_entities_behind_a_long_prolog() -> None:
    """An entity is refused wherever in the prolog it stands; a feed that hides its kind so long has it named."""
    feed = with_doctype(f"<!-- {'x' * 200_000} --><!DOCTYPE yml_catalog [<!ENTITY x 'y'>]>")
    with pytest.raises(FeedError, match="declares an entity"):
        read_all(feed, format=Format.YANDEX)
    with pytest.raises(FeedError, match="has no element in its first"):
        read_all(feed)


def test_empty_first_line() -> None:
    """A feed whose script printed an empty line before the declaration is read."""
    assert len(read_drafts("\n\n" + YANDEX)) == 2


def test_external_dtd_is_passed_over() -> None:
    """A DOCTYPE that names a file is no fault, and nobody opens the file; HTML's names are known beside it."""
    products = read_products(with_doctype('<!DOCTYPE yml_catalog SYSTEM "http://127.0.0.1:1/x.dtd">', "Boot&nbsp;7"))
    assert products[0].title == "Boot 7"


def test_control_characters() -> None:
    """Characters that XML forbids are left out, as if they were not there."""
    assert read_products(YANDEX.replace("Suede boot", "Suede\x0b\x00\x1f boot"))[0].title == "Suede boot"


def endless(start: str, again: str) -> Iterator[str]:
    """A feed that never ends."""
    return itertools.chain([start], itertools.repeat(again * 1000))


@pytest.mark.parametrize(
    ("start", "again"),
    [
        ("<yml_catalog><shop><offers><offer><name>", "boot"),
        ("<yml_catalog><shop><offers>", "boot"),
        ("<yml_catalog><shop><offers><offer>", "<a>"),
        ("<yml_catalog><shop><offers><offer>", "<a/>"),
        ("<yml_catalog><shop><offers>", "<offers>"),
        ("<yml_catalog><shop><offers><offer ", "a='b' "),
        ("<!--", "boot"),
    ],
    ids=["text", "text between", "depth", "breadth", "containers", "attributes", "comment"],
)
def test_endless_elements(start: str, again: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An element without end is refused at its bound."""
    monkeypatch.setattr(elements, "MAX_ELEMENT", 2**18)
    with pytest.raises(FeedError):
        for _ in read_elements(endless(start, again), frozenset({"yml_catalog", "shop", "offers"})):
            pass


def test_endless_line() -> None:
    """A line without end is refused at its bound."""
    with pytest.raises(FeedError, match="line of more than"):
        list(lines.split_lines(endless("{", '"a": ')))


def test_endless_cell() -> None:
    """A quote that nobody closes is refused with its line."""
    feed = 'id,title,image_link\n1,"Boot\n' + f"{'2,Boot,x' * 50}\n" * 5000
    with pytest.raises(FeedError, match="cannot be read on after line"):
        read_all(feed)


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"a":' * 100_000, "{", "9" * 10_000, "[]", '{"@type": "Offer"}', "nul"]
)
def test_hostile_lines(line: str) -> None:
    """A line that is no product is rejected, however it is made, and the next one is read."""
    feed = Feed(io.BytesIO(f"{FEEDS['schema.org']}{line}\n{FEEDS['schema.org']}".encode()), SETTINGS)
    drafts = [(offer.line, offer.draft) for offer in feed]
    assert [place for place, draft in drafts if isinstance(draft, Unusable)] == [3]
    assert len(drafts) == 5


def test_memory_of_items_is_let_go() -> None:
    """What was handed out is not kept: the tree holds no more than the feed's latest piece."""
    pieces = [f"<offer id='{number}'/>" for number in range(1000)]
    feed = iter(["<yml_catalog><shop><offers>", *pieces, "</offers></shop></yml_catalog>"])
    found = list(read_elements(feed, frozenset({"yml_catalog", "shop", "offers"})))
    assert [element.get("id") for element in found] == [str(number) for number in range(1000)]


def test_long_rows() -> None:
    """A row with more cells than the first line has is rejected; a shorter one lacks the last."""
    feed = f"id,title,image_link,brand\n1,Boot,{BASE}/1.jpg\n2,Boot,{BASE}/1.jpg,Okapi,more\n"
    first, second = Feed(io.BytesIO(feed.encode()), SETTINGS)
    assert not isinstance(first.draft, Unusable)
    assert (second.line, str(second.draft)) == (3, "the row has 5 cells, the first line 4")
