"""The elements of a feed in XML, one offer at a time.

Expat parses, by the standard library's XMLParser and TreeBuilder, both in C: somewhat faster than iterparse,
which hands every element to Python (benchmarks/feeds.py). The rules are defusedxml's: a DOCTYPE is passed over, a
declared entity refuses the feed, and nothing outside of the file is ever opened. They are kept by a second parser that
sees each chunk first, until the root begins: after it no DOCTYPE can come.
"""

from collections.abc import Iterator
from html.entities import name2codepoint
from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.parsers import expat

from sosie.crawler.feeds.decoding import CONTROLS
from sosie.crawler.feeds.errors import FeedError

MAX_ELEMENT = 8 * 2**20
"""Characters that may come without an element of the feed's being complete."""
_MAX_DEPTH = 4  # of containers in one another: yml_catalog, shop, offers


class _Prolog:
    """Reads until the root element begins, and refuses entities on the way."""

    def __init__(self) -> None:
        self.root = ""
        self._length = 0
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._finish
        self._parser.EntityDeclHandler = self._refuse
        self._parser.UnparsedEntityDeclHandler = self._refuse
        self._parser.ExternalEntityRefHandler = self._refuse

    def feed(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > MAX_ELEMENT:
            raise FeedError(f"has no element in its first {MAX_ELEMENT:,} bytes")
        self._parser.Parse(data, False)

    def _finish(self, tag: str, _attributes: dict[str, str]) -> None:
        self.root = tag
        self._parser.StartElementHandler = None

    def _refuse(self, name: str, *_rest: object) -> NoReturn:
        raise FeedError(f"declares an entity, which a feed may not: {name[:80]!r}")


def find_root(start: str) -> str:
    """The name of the first element of a document that begins so, without its prefix.

    Raises FeedError where there is none, or what comes before it is no XML, or declares an entity.
    """
    prolog = _Prolog()
    try:
        prolog.feed(_encode(start))
    except expat.ExpatError as error:
        if not prolog.root:  # what is wrong behind it is found when it is read
            raise FeedError(f"is not well-formed XML: {error}") from error
    if not prolog.root:
        raise FeedError(f"has no element in its first {len(start):,} characters")
    return prolog.root.rpartition(":")[2]


def read_elements(texts: Iterator[str], containers: frozenset[str]) -> Iterator[Element]:
    """Each complete element within the containers, in the order of the feed.

    A container is an element, from the root down, whose children are handed out one by one and then let go. Control
    characters, which XML forbids, are left out. Raises FeedError where the feed is not well-formed, declares an entity,
    or has an element of more than MAX_ELEMENT characters.
    """
    prolog = _Prolog()
    builder = TreeBuilder()
    top = builder.start("feed", {})
    parser = XMLParser(target=builder, encoding="utf-8")  # noqa: S314 - entities are refused before
    parser.entity.update({name: chr(code) for name, code in name2codepoint.items()})
    waiting = 0
    try:
        for text in texts:
            data = _encode(text)
            if not prolog.root:
                prolog.feed(data)
            parser.feed(data)
            waiting += len(text)
            if complete := _take(top, containers, open_ended=True):
                waiting = 0
                yield from complete
            if waiting > MAX_ELEMENT:
                raise FeedError(f"has an element of more than {MAX_ELEMENT:,} characters")
        parser.close()
    except (ParseError, expat.ExpatError) as error:
        raise FeedError(f"is not well-formed XML: {error}") from error
    yield from _take(top, containers, open_ended=False)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace").translate(None, CONTROLS)


def _take(node: Element, containers: frozenset[str], *, open_ended: bool, depth: int = 0) -> list[Element]:
    """The complete children, removed from the tree; the last may have its end still before it."""
    children = list(node)
    last = children.pop() if open_ended and children else None
    del node[: len(children)]
    taken: list[Element] = []
    for child in children:
        if child.tag in containers and depth < _MAX_DEPTH:
            taken += _take(child, containers, open_ended=False, depth=depth + 1)
        else:
            taken.append(child)
    if last is not None and last.tag in containers and depth < _MAX_DEPTH:
        taken += _take(last, containers, open_ended=True, depth=depth + 1)
    return taken
