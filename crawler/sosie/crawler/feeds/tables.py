"""Feeds as tables: a row an offer, under the column names of Google Merchant or of Yandex."""

import csv
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeAlias

from sosie.crawler.drafts import Draft, DraftPicture
from sosie.crawler.feeds import google, yandex
from sosie.crawler.feeds.decoding import CONTROLS
from sosie.crawler.feeds.errors import FeedError
from sosie.crawler.feeds.lines import MAX_LINE, split_lines
from sosie.crawler.feeds.offers import Offer, Settings
from sosie.crawler.rejects import Unusable

Row: TypeAlias = dict[str, str]

_DELIMITERS = "\t;,|"
_MAX_COLUMNS = 500
_YANDEX = {name.lower(): name for name in ("currencyId", "vendorCode", "typePrefix")}
_DROPPED = dict.fromkeys(CONTROLS)


def read_table(texts: Iterator[str], settings: Settings, now: datetime) -> Iterator[Offer]:
    """A row's draft, row by row; the first row names the columns, and by its marks the delimiter is told.

    Raises FeedError where the columns are not those of a feed, or the quotes of a row do not end.
    """
    lines = (line.translate(_DROPPED) for line in split_lines(texts))
    before, head = next(((place, line) for place, line in enumerate(lines, start=1) if line.strip()), (0, ""))
    delimiter = max(_DELIMITERS, key=head.count)
    csv.field_size_limit(MAX_LINE)
    columns = _name_columns(head, delimiter)
    make = _choose(columns, settings, now)
    reader = csv.reader(lines, delimiter=delimiter)
    number = 0
    try:
        for cells in reader:
            if not any(cells):
                continue
            number += 1
            yield Offer(number, before + reader.line_num, _read_row(columns, cells, make))
    except csv.Error as error:
        raise FeedError(f"cannot be read on after line {before + reader.line_num}: {error}") from error


def _name_columns(head: str, delimiter: str) -> list[str]:
    try:
        names = next(csv.reader([head], delimiter=delimiter), [])
    except csv.Error as error:
        raise FeedError(f"has no columns in its first line: {error}") from error
    if len(names) > _MAX_COLUMNS:
        raise FeedError(f"has {len(names):,} columns, at most {_MAX_COLUMNS} are read")
    return ["_".join(name.strip().lower().removeprefix("g:").split()) for name in names]


def _choose(columns: list[str], settings: Settings, now: datetime) -> Callable[[Row], Draft]:
    """By the column that names the products."""
    if "id" in columns and "title" in columns:
        return lambda row: _read_google(row, settings, now)
    if "id" in columns and ("name" in columns or "model" in columns):
        return lambda row: _read_yandex(row, settings)
    shown = ", ".join(columns)[:120]
    raise FeedError(
        f"is no feed that is known: a table has the columns id and title, or id and name; this has {shown!r}"
    )


def _read_row(columns: list[str], cells: list[str], make: Callable[[Row], Draft]) -> Draft | Unusable:
    if len(cells) > len(columns):
        return Unusable("", f"the row has {len(cells):,} cells, the first line {len(columns):,}")
    return make({name: text for name, cell in zip(columns, cells, strict=False) if (text := cell.strip())})


def _read_google(row: Row, settings: Settings, now: datetime) -> Draft:
    fields = {name: [text] for name, text in row.items()}
    for name in ("additional_image_link", "lifestyle_image_link"):
        if name in row:
            fields[name] = split_addresses(row[name])
    details = [detail.split(":") for detail in row.get("product_detail", "").split(",") if ":" in detail]
    return google.make_draft(fields, [(name, value) for *_, name, value in details], settings, now)


def _read_yandex(row: Row, settings: Settings) -> Draft:
    fields = {_YANDEX.get(name, name): text for name, text in row.items()}
    pictures = [DraftPicture(url) for url in split_addresses(fields.get("picture", ""))]
    category = fields.get("category", "")
    levels = category.split(">" if ">" in category else "/")
    parts = [[part.strip() for part in param.split("|")] for param in fields.get("param", "").split(";")]
    properties = [(part[0], " ".join(filter(None, part[1:]))) for part in parts]
    return yandex.make_draft(fields, pictures, properties, [level.strip() for level in levels], settings)


def split_addresses(text: str) -> list[str]:
    """Addresses with commas between them; a comma within one is not followed by another address.

    >>> split_addresses("https://a.example/1,w_80.jpg, https://a.example/2.jpg")
    ['https://a.example/1,w_80.jpg', 'https://a.example/2.jpg']
    """
    found: list[str] = []
    for piece in text.split(","):
        if found and not piece.lstrip().lower().startswith(("http:", "https:", "//", "/")):
            found[-1] += f",{piece.rstrip()}"
        elif piece.strip():
            found.append(piece.strip())
    return found
