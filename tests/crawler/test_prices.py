"""Prices as people and machines write them."""

import doctest

import pytest

from sosie.crawler import availability, currencies, drafts, prices, texts
from sosie.crawler.prices import Mark, PriceError, parse_price


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("1 299,00 €", "", ("EUR", 1299, 0)),
        ("1\u202f299,50\u00a0€", "", ("EUR", 1299, 500_000_000)),
        ("1.299,00 €", "EUR", ("EUR", 1299, 0)),
        ("Rs. 12,999", "INR", ("INR", 12999, 0)),
        ("₹12,99,999", "", ("INR", 1299999, 0)),
        ("$89.95", "USD", ("USD", 89, 950_000_000)),
        ("US$89.95", "", ("USD", 89, 950_000_000)),
        ("от 5 990 ₽", "", ("RUB", 5990, 0)),
        ("5990 руб.", "", ("RUB", 5990, 0)),
        ("12.999 ₽", "", ("RUB", 12999, 0)),
        ("1'299.00 CHF", "", ("CHF", 1299, 0)),
        ("kr 1 299,-", "SEK", ("SEK", 1299, 0)),
        ("2 990,00 Kč", "", ("CZK", 2990, 0)),
        ("£89.95 - £99.95", "", ("GBP", 89, 950_000_000)),
        ("NT$3,200", "", ("TWD", 3200, 0)),
        ("99€95", "", ("EUR", 99, 950_000_000)),
        ("15.00 USD", "", ("USD", 15, 0)),
        ("5990", "RUB", ("RUB", 5990, 0)),
        ("1299.500", "KWD", ("KWD", 1299, 500_000_000)),
        ("1299.500 KWD", "", ("KWD", 1299, 500_000_000)),
        ("0", "EUR", ("EUR", 0, 0)),
        ("SALE 20% $30, TRY IT", "USD", ("USD", 30, 0)),
    ],
)
def test_forms(text: str, currency: str, expected: tuple[str, int, int]) -> None:
    """Every common form gives its amount and its currency."""
    price = parse_price(text, currency)
    assert (price.currency_code, price.units, price.nanos) == expected


@pytest.mark.parametrize(
    ("decimal", "units", "nanos"),
    [(None, 1299, 0), (".", 1, 299_000_000), (",", 1299, 0)],
    ids=["guess", "point", "comma"],
)
def test_decimal_mark(decimal: Mark | None, units: int, nanos: int) -> None:
    """Three digits behind a point are thousands, unless the source says what its mark is."""
    price = parse_price("1.299", "EUR", decimal=decimal)
    assert (price.units, price.nanos) == (units, nanos)


@pytest.mark.parametrize(
    ("text", "currency", "why"),
    [
        ("", "EUR", "is no price"),
        ("on request", "EUR", "is no price: 'on request'"),
        ("$89.95", "", "says no currency"),
        ("89.95", "", "says no currency"),
        ("89.95 USD", "EUR", "is in USD, declared is EUR"),
        ("£5", "EUR", "is in GBP, declared is EUR"),
        ("5", "doubloons", "no active ISO 4217 code: 'doubloons'"),
        ("-5,00 €", "", "is below 0"),
        ("9" * 30, "EUR", "must be at most"),
        ("1" * 100_000, "EUR", "has 100,000 characters"),
    ],
)
def test_refused(text: str, currency: str, why: str) -> None:
    """What is no price, or in no certain currency, is refused with a reason."""
    with pytest.raises(PriceError, match=why):
        parse_price(text, currency)


@pytest.mark.parametrize(
    "module", [availability, currencies, drafts, prices, texts], ids=lambda module: module.__name__
)
def test_examples(module: object) -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
