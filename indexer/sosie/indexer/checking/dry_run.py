"""One check from its settings to its outcome: once through the catalog for its prices, once for its verdicts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie.indexer.catalog import Catalog
from sosie.indexer.checking.checker import Checker
from sosie.indexer.checking.pictures import PictureCheck
from sosie.indexer.checking.prices import Medians
from sosie.indexer.checking.summary import Summary
from sosie.indexer.checking.verdicts import VerdictsFile
from sosie.indexer.cleaning.clean_catalog import CleanCatalog, CleaningOptions
from sosie.indexer.entry import Entry
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.report import MaxRejects

_LINES_BETWEEN_WORDS = 1000


@dataclass(frozen=True)
class Settings:
    """All that one check is told. Without `images` no picture is looked at; `out` is where the verdicts go."""

    catalog: Path
    images: Path | None
    out: Path
    cleaning: CleaningOptions
    max_rejects: MaxRejects
    strict: bool = False
    decode: bool = False
    threads: int = 4


@dataclass(frozen=True)
class Outcome:
    """How a check ended: `report` has JSON types only, `failed` says that more was found than may be."""

    report: dict[str, Any]
    rejected: int
    offered: int
    failed: bool


def check_catalog(settings: Settings, tell: Callable[[str, float], None]) -> Outcome:
    """`tell` hears now and then what is being done and which share of it is done. Raises OSError."""
    folder = PictureFolder(settings.images) if settings.images else None
    near = settings.cleaning.watch_pictures(folder, settings.out, settings.threads) if folder else None
    medians = _survey_prices(settings, tell)
    catalog = CleanCatalog(settings.catalog, settings.cleaning, near)
    summary = Summary()
    with ThreadPoolExecutor(settings.threads, thread_name_prefix="look") as pool, VerdictsFile(settings.out) as file:
        pictures = PictureCheck(folder, decode=settings.decode) if folder else None
        checker = Checker(medians=medians, categories=catalog.cleaner, pictures=pictures, pool=pool)
        for number, line in enumerate(checker.check(catalog)):
            summary.add(line)
            file.add(line)
            if number % _LINES_BETWEEN_WORDS == 0:
                tell("checking", catalog.share)
    report = {
        "catalog": str(settings.catalog),
        "files": len(catalog.partitions),
        "left_out_files": catalog.left_out_count,
        "left_out_first": next(iter(catalog.left_out), None),
        **summary.as_dict(catalog.cleaner.suggest),
        "unjudged_prices": medians.unjudged,
        "cleaning": catalog.books,
        "verdicts_file": str(settings.out),
    }
    failed = summary.fails(settings.max_rejects, strict=settings.strict)
    return Outcome(report, summary.rejected, summary.offered, failed)


def _survey_prices(settings: Settings, tell: Callable[[str, float], None]) -> Medians:
    """The medians of the products that count."""
    medians = Medians()
    options = settings.cleaning
    catalog = Catalog(settings.catalog, cleaner=options.make_cleaner(), merger=options.make_merger())
    for number, found in enumerate(catalog):
        if isinstance(found, Entry):
            medians.note(found.product)
        if number % _LINES_BETWEEN_WORDS == 0:
            tell("reading prices", catalog.share)
    return medians
