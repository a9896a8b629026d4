"""Whether a product can be bought, as shops and feeds say it."""

import re

from sosie.v1 import product_pb2

_IN = product_pb2.IN_STOCK
_OUT = product_pb2.OUT_OF_STOCK
_PRE = product_pb2.PREORDER

_WORDS = {
    "instock": _IN,
    "instoreonly": _IN,
    "onlineonly": _IN,
    "limitedavailability": _IN,
    "available": _IN,
    "true": _IN,
    "yes": _IN,
    "1": _IN,
    "lagernd": _IN,
    "auflager": _IN,
    "enstock": _IN,
    "skladem": _IN,
    "вналичии": _IN,
    "естьвналичии": _IN,
    "да": _IN,
    "outofstock": _OUT,
    "soldout": _OUT,
    "discontinued": _OUT,
    "unavailable": _OUT,
    "notavailable": _OUT,
    "false": _OUT,
    "no": _OUT,
    "0": _OUT,
    "ausverkauft": _OUT,
    "épuisé": _OUT,
    "vyprodáno": _OUT,
    "нетвналичии": _OUT,
    "нет": _OUT,
    "preorder": _PRE,
    "presale": _PRE,
    "backorder": _PRE,
    "madetoorder": _PRE,
    "availablefororder": _PRE,
    "подзаказ": _PRE,
    "предзаказ": _PRE,
}
_ADDRESS = re.compile(r"^(?:https?://)?schema\.org/", re.IGNORECASE)
_BETWEEN = re.compile(r"[\W_]+")
_MAX_LENGTH = 80


def parse_availability(text: str) -> product_pb2.Availability.ValueType:
    """What the words mean; AVAILABILITY_UNSPECIFIED where that is not known, or there are none.

    Those of schema.org, with its address or without, of Google Merchant, and of shop pages in a few languages.

    >>> parse_availability("https://schema.org/InStock") == parse_availability("in_stock") == product_pb2.IN_STOCK
    True
    """
    if len(text) > _MAX_LENGTH:
        return product_pb2.AVAILABILITY_UNSPECIFIED
    word = _BETWEEN.sub("", _ADDRESS.sub("", text.strip())).casefold()
    return _WORDS.get(word, product_pb2.AVAILABILITY_UNSPECIFIED)
