"""Options that several commands share, and the syntax of their values."""

import argparse
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sosie.client.client import DEFAULT_TIMEOUT
from sosie.client.questions import Crop, IndexedPicture, PriceRange

_PRICE = re.compile(r"\s*(?P<min>\d+(?:\.\d+)?)?\s*\.\.\s*(?P<max>\d+(?:\.\d+)?)?\s*(?P<currency>[A-Za-z]{3})\s*")
_CROP_SIDES = 4


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """--address and --timeout."""
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="the gateway; default: SOSIE_ADDRESS, else what `sosie local up` wrote, else localhost:50051",
    )
    parser.add_argument(
        "--timeout",
        type=parse_timeout,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="the time limit of each question; default: %(default)g",
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """--json and --html."""
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, for programs")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a contact sheet to look at in a browser")


def add_crop_argument(parser: argparse.ArgumentParser) -> None:
    """--crop."""
    parser.add_argument(
        "--crop",
        type=parse_crop,
        metavar="L,T,R,B",
        help="the part of the photo that counts: left, top, right and bottom from 0 to 1",
    )


def parse_timeout(text: str) -> float:
    """Seconds above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text!r}")
    return seconds


def parse_crop(text: str) -> Crop:
    """Four numbers between commas; the gateway checks their bounds."""
    try:
        sides = [float(side) for side in text.split(",")]
    except ValueError:
        sides = []
    if len(sides) != _CROP_SIDES:
        raise argparse.ArgumentTypeError(f"must be four numbers as in 0.1,0,0.9,0.5, got {text!r}")
    return Crop(*sides)


def parse_price(text: str) -> PriceRange:
    """MIN..MAX and a currency, e.g. 10..50EUR; either number may be left out."""
    match = _PRICE.fullmatch(text)
    if match is None or not (match["min"] or match["max"]):
        raise argparse.ArgumentTypeError(f"must be as in 10..50EUR, ..50EUR or 10..EUR, got {text!r}")
    return PriceRange(
        match["currency"].upper(),
        Decimal(match["min"]) if match["min"] else None,
        Decimal(match["max"]) if match["max"] else None,
    )


def parse_category(text: str) -> list[str]:
    """Levels between slashes, the widest first, e.g. Men/Tops; a slash within a level is written %2F."""
    levels = [unquote(level) for level in text.split("/")]
    if not all(levels):
        raise argparse.ArgumentTypeError(f"must be levels between slashes as in Men/Tops, got {text!r}")
    return levels


def parse_weight(text: str) -> tuple[str, float]:
    """PART=NUMBER, e.g. colour=3."""
    part, _, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not part or math.isnan(weight):
        raise argparse.ArgumentTypeError(f"must be PART=NUMBER as in colour=3, got {text!r}")
    return part, weight


def parse_attribute(text: str) -> tuple[str, str]:
    """NAME=VALUE, e.g. colour=red."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE as in colour=red, got {text!r}")
    return name, value


def parse_labels(text: str) -> tuple[str, list[str]]:
    """LABEL,LABEL,... or NAME=LABEL,LABEL,... e.g. material=suede,leather."""
    name, equals, labels = text.rpartition("=")
    values = [label.strip() for label in labels.split(",")]
    if not all(values) or (equals and not name):
        raise argparse.ArgumentTypeError(f"must be labels between commas as in suede,leather, got {text!r}")
    return name, values


def parse_picture_name(text: str) -> IndexedPicture:
    """SHOP/PRODUCT_ID or SHOP/PRODUCT_ID/PICTURE; a slash within a name is written %2F."""
    names = [unquote(name) for name in text.split("/")]
    if len(names) not in (2, 3) or not all(names):
        raise argparse.ArgumentTypeError(f"must be SHOP/PRODUCT_ID or SHOP/PRODUCT_ID/PICTURE, got {text!r}")
    return IndexedPicture(*names)


def format_picture_name(shop: str, product_id: str, picture_id: str = "") -> str:
    """The name that `parse_picture_name` reads."""
    return "/".join(quote_name(name) for name in (shop, product_id, picture_id) if name)


def quote_name(name: str) -> str:
    """Only what the syntax needs is escaped, so that names stay readable in any script."""
    return name.replace("%", quote("%")).replace("/", quote("/", safe=""))


class PairsAction(argparse.Action):
    """Gathers (name, value) pairs of a repeatable option in a dict; a name given twice is a usage error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, value = values
        pairs = dict(getattr(namespace, self.dest) or {})
        if name in pairs:
            problem = f"{name!r} is given twice" if name else "of several sets, at most one may be without a name"
            parser.error(f"argument {option_string}: {problem}")
        setattr(namespace, self.dest, pairs | {name: value})
