"""Prices as shops and feeds write them."""

import re
from decimal import Decimal
from typing import Literal, TypeAlias

from price_parser import Price as Parsed

from sosie.crawler.currencies import is_currency, name_currency
from sosie.v1 import product_pb2

MAX_LENGTH = 200
"""Characters of a price's text: what is longer is no price, and the parser's expressions are not linear."""
MAX_UNITS = 2**63 // 10**6 - 1
"""Whole units: an index counts in millionths, in 64 bits."""

Mark: TypeAlias = Literal[".", ","]
"""What stands before the fraction."""

_PLAIN = re.compile(r"(\d{1,12})(?:\.(\d{1,2}))?(?: ([A-Z]{3}))?", re.ASCII)
_POINTED = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?(?: ([A-Z]{3}))?", re.ASCII)
_THOUSANDTHS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""Currencies with three digits after the point: 1299.500 is no million there."""
_CODE = re.compile(r"(?<![A-Za-z])([A-Z]{3})(?=[ $]?\d)|\d ?([A-Z]{3})(?![A-Za-z])", re.ASCII)
_BELOW_ZERO = re.compile(r"[^\w]*[-\N{MINUS SIGN}][^\w-]*\d")
_NANOS = 9


class PriceError(ValueError):
    """The text is no price that can be used; the message says why, on one line."""


def parse_price(text: str, currency: str = "", *, decimal: Mark | None = None) -> product_pb2.Price:
    """The first price in the text.

    `currency` is what the source declares, as a code or a sign; it settles what $ or kr means. `decimal` is what stands
    before the fraction; without it 1.299 and 1,299 are both taken for thousands, as a person would.

    Raises PriceError where there is no amount, no currency, or another one than declared.

    >>> price = parse_price("от 5 990 ₽")
    >>> price.currency_code, price.units, price.nanos
    ('RUB', 5990, 0)
    >>> parse_price("Rs. 12,999", "INR").units
    12999
    >>> parse_price("$1.299", "USD", decimal=".").nanos
    299000000
    """
    written = text.strip()
    if decimal is None and not _THOUSANDTHS.isdisjoint((currency, written[-3:])):
        decimal = "."
    plain = (_POINTED if decimal == "." else _PLAIN).fullmatch(written) if decimal != "," else None
    if plain:  # most of what feeds and JSON hold
        units, fraction, code = plain.groups()
        nanos = int(fraction.ljust(_NANOS, "0")) if fraction else 0
        return _make(int(units), nanos, _settle(code or "", currency, written))
    if len(written) > MAX_LENGTH:
        raise PriceError(f"is no price: has {len(written):,} characters")
    parsed = Parsed.fromstring(written, decimal_separator=decimal)
    if parsed.amount is None:
        raise PriceError(f"is no price: {quote(written)}")
    if _BELOW_ZERO.match(written):
        raise PriceError(f"is below 0: {quote(written)}")
    units, nanos = _split(parsed.amount, written)
    return _make(units, nanos, _settle(_find_code(written) or parsed.currency or "", currency, written))


def quote(text: str, most: int = 80) -> str:
    """The text as it is shown in a message: on one line and not too long."""
    return repr(text if len(text) <= most else text[:most] + "…")


def _find_code(text: str) -> str:
    """A code beside a number: elsewhere ALL, TOP and TRY are words."""
    for before, after in _CODE.findall(text):
        if is_currency(before or after):
            return str(before or after)
    return ""


def _settle(found: str, declared: str, text: str) -> str:
    shown, said = name_currency(found), name_currency(declared)
    if declared and not said:
        raise PriceError(f"has a currency that is no active ISO 4217 code: {quote(declared)}")
    if shown and said and shown != said:
        raise PriceError(f"is in {shown}, declared is {said}: {quote(text)}")
    if not shown and not said:
        raise PriceError(f"says no currency: {quote(text)}")
    return said or shown


def _split(amount: Decimal, text: str) -> tuple[int, int]:
    if not amount.is_finite() or amount > MAX_UNITS:
        raise PriceError(f"must be at most {MAX_UNITS:,}, is {quote(text)}")
    units = int(amount)
    return units, int((amount - units).scaleb(_NANOS))


def _make(units: int, nanos: int, code: str) -> product_pb2.Price:
    return product_pb2.Price(currency_code=code, units=units, nanos=nanos)
