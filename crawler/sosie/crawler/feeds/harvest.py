"""A feed to a catalog, and a file of what is not in it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, TextIO

from sosie.crawler.catalog_lines import to_line
from sosie.crawler.drafts import Built, build
from sosie.crawler.feeds.errors import FeedError
from sosie.crawler.feeds.offers import Offer
from sosie.crawler.feeds.reading import Feed
from sosie.crawler.feeds.report import Report
from sosie.crawler.rejects import Reject, Unusable

_EVERY = 1000  # offers between two reports of progress


class Paths(NamedTuple):
    """What a run writes."""

    catalog: Path
    rejects: Path
    report: Path

    @classmethod
    def beside(cls, catalog: Path) -> "Paths":
        """The others are called as the catalog is."""
        stem = catalog.name.removesuffix(".jsonl")
        return cls(catalog, catalog.with_name(f"{stem}.rejects.jsonl"), catalog.with_name(f"{stem}.report.json"))


class TooManyRejectsError(FeedError):
    """More of a feed is rejected than a run allows; carries what was counted."""

    def __init__(self, report: Report) -> None:
        super().__init__(f"has {report.rejected:,} rejects among {report.offers:,} offers")
        self.report = report


def harvest(
    feed: Feed,
    source: str,
    paths: Paths,
    *,
    allows: Callable[[int, int], bool] = lambda _rejected, _offers: True,
    on_progress: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Writes the feed's products, rejects and report; `source` is what rejects call the feed.

    The catalog takes its place only when the feed has been read to its end and `allows(rejects, offers)`: half a feed
    must not pass for a whole one, and the catalog of an earlier run stays. Rejects are written in any case; where there
    are none, there is no file of them.

    Raises FeedError where the feed cannot be read on or has no offer, TooManyRejectsError, and OSError where a file
    cannot be written.
    """
    report = Report(format=str(feed.format))
    with _write_whole(paths.catalog) as catalog, _write_some(paths.rejects) as rejects:
        for offer in feed:
            made = _make(offer, source)
            if isinstance(made, Reject):
                report.add_reject(made)
                rejects.write(json.dumps(asdict(made), ensure_ascii=False) + "\n")
            else:
                report.add_product(*made)
                catalog.write(to_line(made.product))
            if report.offers % _EVERY == 0:
                on_progress(report)
        if not report.offers:
            raise FeedError("has no offers")
        paths.report.write_text(json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        if not allows(report.rejected, report.offers):
            raise TooManyRejectsError(report)
    return report


def _make(offer: Offer, source: str) -> Built | Reject:
    """The product that an offer gives, or why it gives none."""
    draft = offer.draft
    place = source if offer.line else f"{source}, offer {offer.number}"
    if isinstance(draft, Unusable):
        return Reject(draft.reason, draft.field, source=place, line=offer.line)
    try:
        return build(draft)
    except Unusable as error:
        return Reject(error.reason, error.field, draft.shop, draft.product_id[:256], place, offer.line)


@contextmanager
def _write_whole(path: Path) -> Iterator[TextIO]:
    """A file that takes its name when all of it is written, and is gone where it is not."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _write_some(path: Path) -> Iterator[TextIO]:
    """A file that is there only when something was written."""
    try:
        with path.open("w", encoding="utf-8") as file:
            yield file
    finally:
        if path.exists() and not path.stat().st_size:
            path.unlink()
