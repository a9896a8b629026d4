"""Which kind a feed is, told from how it begins."""

from enum import StrEnum

from sosie.crawler.feeds.elements import find_root
from sosie.crawler.feeds.errors import FeedError


class Format(StrEnum):
    """The kinds of feeds that are read."""

    YANDEX = "yandex"
    GOOGLE = "google"
    TABLE = "table"
    SCHEMA_ORG = "schema.org"


_ROOTS = {"yml_catalog": Format.YANDEX, "rss": Format.GOOGLE, "feed": Format.GOOGLE}


def tell_format(start: str) -> Format:
    """The format by the first characters. Raises FeedError where it is none of these, and says what it looks like."""
    begun = start.lstrip()
    if begun.startswith("{"):
        return Format.SCHEMA_ORG
    if not begun.startswith("<"):
        if not begun:
            raise FeedError("is empty")
        return Format.TABLE
    root = find_root(begun)
    if root not in _ROOTS:
        expected = "not yml_catalog, rss or feed"
        raise FeedError(f"is no feed that is known: its first element is {root[:40]!r}, {expected}")
    return _ROOTS[root]
