"""A feed's offers, whatever format it has."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import BinaryIO

from sosie.crawler.feeds import google, yandex
from sosie.crawler.feeds.decoding import decode
from sosie.crawler.feeds.elements import read_elements
from sosie.crawler.feeds.formats import Format, tell_format
from sosie.crawler.feeds.json_lines import read_json_lines
from sosie.crawler.feeds.offers import Offer, Settings
from sosie.crawler.feeds.opening import read_chunks
from sosie.crawler.feeds.tables import read_table

_LOOKED_AT = 2**16


class Feed:
    """Goes through a feed once. Holds an offer at a time, and what its format keeps beside: the tree of categories."""

    def __init__(
        self,
        file: BinaryIO,
        settings: Settings,
        *,
        format: Format | None = None,
        encoding: str = "",
        now: datetime | None = None,
    ) -> None:
        """`encoding` goes before what the feed declares; `now` is the moment whose sale prices count.

        Raises FeedError where the feed is packed otherwise than by gzip, or no known format, OSError where it cannot be
        read.
        """
        texts = decode(read_chunks(file), encoding)
        start = ""
        for text in texts:
            start += text
            if len(start) >= _LOOKED_AT:
                break
        if start[:1].isspace() and start.lstrip().startswith("<"):  # scripts often print an empty line first
            start = start.lstrip()
        self.format = format or tell_format(start)
        self._texts = chain([start], texts)
        self._settings = settings
        self._now = now or datetime.now(UTC)

    def __iter__(self) -> Iterator[Offer]:
        """Every offer. Raises FeedError where the feed cannot be read on, OSError where reading fails."""
        if self.format is Format.YANDEX:
            return self._read_yandex()
        if self.format is Format.GOOGLE:
            return self._read_google()
        if self.format is Format.TABLE:
            return read_table(self._texts, self._settings, self._now)
        return read_json_lines(self._texts, self._settings)

    def _read_yandex(self) -> Iterator[Offer]:
        categories = yandex.Categories()
        number = 0
        for element in read_elements(self._texts, yandex.CONTAINERS):
            if element.tag == "offer":
                number += 1
                yield Offer(number, 0, yandex.read_offer(element, categories, self._settings))
            elif element.tag == "category":
                categories.add(element)

    def _read_google(self) -> Iterator[Offer]:
        number = 0
        for element in read_elements(self._texts, google.CONTAINERS):
            if element.tag in google.ITEMS:
                number += 1
                yield Offer(number, 0, google.read_item(element, self._settings, self._now))
