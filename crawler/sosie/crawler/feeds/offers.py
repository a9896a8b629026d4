"""What every kind of feed gives: its offers, one by one."""

from collections.abc import Iterable
from typing import NamedTuple

from sosie.crawler.drafts import Draft
from sosie.crawler.prices import Mark
from sosie.crawler.rejects import Unusable

JOINED = 256
"""Characters from which on no further value of a property is joined: it would be beyond the bounds."""


class Offer(NamedTuple):
    """An offer of a feed: a draft, or why it is none.

    `number` is counted from 1 in the feed, `line` in the file; 0 where lines mean nothing, as in XML.
    """

    number: int
    line: int
    draft: Draft | Unusable


class Settings(NamedTuple):
    """What a feed does not say of itself."""

    shop: str
    currency: str = ""
    """Of prices that name none."""


def join_values(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Properties by their names, in order; values of the same name are joined, each once.

    >>> join_values([("size", "38"), ("colour", "red"), ("size", "39"), ("size", "38")])
    {'size': '38, 39', 'colour': 'red'}
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if not value:
            continue
        if (known := found.get(name)) is None:
            found[name] = value
        elif len(known) < JOINED and value not in known.split(", "):
            found[name] = f"{known}, {value}"
    return found


def find_point(price: str) -> Mark | None:
    """What stands before a price's fraction: the formats ask for a point, which settles what 5990.000 means."""
    return "." if "." in price and "," not in price else None
