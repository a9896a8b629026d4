"""A feed's bytes as text: which encoding they are in, and what is made of those that are not."""

import codecs
import re
from collections.abc import Iterator
from itertools import chain

from sosie.crawler.feeds.errors import FeedError

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_UNMARKED = {b"<\x00?\x00": "utf-16-le", b"\x00<\x00?": "utf-16-be"}
_DECLARATION = re.compile(rb"""^\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_LOOKED_AT = 1024

CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")
"""Characters below the blank that XML forbids even when escaped, and that no text needs."""


def decode(chunks: Iterator[bytes], encoding: str = "") -> Iterator[str]:
    """The chunks as text, without a byte order mark; bytes that the encoding does not have become U+FFFD.

    `encoding` goes before what the feed declares; without either it is UTF-8. Raises FeedError where Python has no such
    encoding, or it is none of text.
    """
    start = b""
    for chunk in chunks:  # a first chunk may be shorter than the declaration
        start += chunk
        if len(start) >= _LOOKED_AT:
            break
    name = encoding or declared_encoding(start)
    try:
        "".encode(name)  # refuses rot13, zlib and others that are none of text
        decoder = codecs.getincrementaldecoder(name)("replace")
    except (LookupError, UnicodeError, TypeError):
        raise FeedError(f"is in an encoding that is not known: {name!r}") from None
    for mark in _MARKS:
        start = start.removeprefix(mark)
    for chunk in chain([start], chunks):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def declared_encoding(start: bytes) -> str:
    """What a byte order mark or an XML declaration says; UTF-8 where there is neither.

    >>> declared_encoding(b"<?xml version='1.0' encoding='windows-1251'?>")
    'windows-1251'
    """
    for mark, name in (_MARKS | _UNMARKED).items():
        if start.startswith(mark):
            return name
    declaration = _DECLARATION.match(start)
    name = declaration[1].decode() if declaration else "utf-8"
    return "utf-8" if name.lower().startswith("utf-16") else name  # then its bytes would have been those above
