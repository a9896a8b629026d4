"""A run: what it is told, what it works with, and how it ended."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sosie.indexer.cleaning.clean_catalog import CleanCatalog, CleaningOptions
from sosie.indexer.cluster.options import ClusterOptions
from sosie.indexer.embedding import Tokenize
from sosie.indexer.encoding.spreading import SpreadEncoder
from sosie.indexer.job import JobOptions
from sosie.indexer.opening import Backends
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.report import MaxRejects, Report
from sosie.indexer.reporting import exit_status
from sosie.indexer.reporting.events import Events
from sosie.indexer.reporting.options import ReportingOptions
from sosie.indexer.retries import Retrier
from sosie.indexer.target.journal import Journal
from sosie.indexer.target.options import TargetOptions
from sosie.indexer.target.state import TargetState
from sosie.indexer.target.target import Target


@dataclass(frozen=True)
class Settings:
    """All that one run of `sosie index` is told."""

    catalog: Path
    images: Path
    models: Path
    backends: Backends
    rejects: Path
    options: JobOptions
    max_rejects: MaxRejects
    state: Path = Path(".sosie") / "index"
    reporting: ReportingOptions = field(default_factory=ReportingOptions)
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    cluster: ClusterOptions | None = None
    """None where this process does the work itself."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `report` is Report.as_dict() with what was indexed into, and less where the run could not begin.

    `error` is one line where it failed; `refused` where what was asked for would have done too much harm; `locked`
    where another run has the target; `stopped_by` the number of the signal that ended it; `begun` is false where
    nothing was done at all.
    """

    report: dict[str, Any]
    rejected: int = 0
    offered: int = 0
    error: str | None = None
    refused: bool = False
    locked: bool = False
    stopped_by: int | None = None
    too_many_rejects: bool = False
    begun: bool = True

    @property
    def exit_status(self) -> int:
        """As docs/indexing.md lists them."""
        if self.stopped_by:
            return exit_status.STOPPED + self.stopped_by
        if self.error:
            return exit_status.LOCKED if self.locked else exit_status.REFUSED if self.refused else exit_status.FAILED
        return exit_status.TOO_MANY_REJECTS if self.too_many_rejects else exit_status.DONE

    def complete(self) -> dict[str, Any]:
        """The report with how the run ended, for machines."""
        status = self.exit_status
        return {**self.report, "ended": round(time.time(), 3), "exit_status": status, "success": status == 0}


def tell_nobody(line: str) -> None:
    """What a run says to people, where there are none."""


@dataclass
class Run:
    """What a run works with, open."""

    settings: Settings
    state: TargetState
    catalog: CleanCatalog
    folder: PictureFolder
    encoder: SpreadEncoder
    tokenizer: Tokenize
    target: Target
    report: Report
    events: Events
    pool: Executor
    journal: Journal
    tell: Callable[[str], None] = tell_nobody
    """Says a line to people at once."""
    stops: list[Callable[[], None]] = field(default_factory=list)
    """What `stop` calls: each part that is at work."""
    stopping: bool = False
    signals: list[int] = field(default_factory=list)
    """Those that stopped the run."""
    error: str | None = None
    """Why the run failed, if it did."""
    refused: bool = False

    @property
    def has_too_many_rejects(self) -> bool:
        """Whether the run counts as failed for what fell out: then nothing is deleted or replaced after it."""
        return self.settings.max_rejects.exceeded(self.report.rejected, self.report.offered)

    def make_retrier(self) -> Retrier:
        """One that gives up when the run is stopped."""
        stopping = asyncio.Event()
        self.stops.append(stopping.set)
        return Retrier(self.settings.options.backoff, stopping, self.report.note_retry)

    def stop(self) -> None:
        """Nothing new is taken up from now on."""
        self.stopping = True
        for stop in self.stops:
            stop()

    def fail(self, error: str) -> None:
        """Stops, and keeps the first reason."""
        self.error = self.error or error
        self.stop()
