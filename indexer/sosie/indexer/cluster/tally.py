"""The run's books, as the workers' come in."""

from collections.abc import Mapping
from typing import Any, Protocol

from sosie.indexer.cluster.books import Books
from sosie.indexer.report import Report


class Reading(Protocol):
    """What of a catalog tells how far it has been read."""

    bytes_read: int


class Tally:
    """Adds partitions to the run's report as they go on, and takes out what is lost with a worker.

    Rejects are listed once, when their partition is done: one that is done again finds the same.
    """

    def __init__(self, report: Report, reading: Reading) -> None:
        self._report = report
        self._reading = reading
        self.cleaning: dict[str, Any] = {}
        """The books of the catalog, of all partitions that are done."""
        self._open: dict[int, Books] = {}
        """By worker, what of its partition under way is in the report."""

    def update(self, worker: int, books: Books) -> None:
        """What a worker's partition has come to so far."""
        self.drop(worker)
        self._add(books, 1)
        self._open[worker] = books

    def settle(self, worker: int, books: Books) -> None:
        """A partition is done. Raises OSError where its rejects cannot be listed."""
        self.update(worker, books)
        del self._open[worker]
        _add_up(self.cleaning, books.cleaning)
        for reject in books.lines:
            self._report.reject_line(reject)
        for reject in books.pictures:
            self._report.reject_picture(reject)

    def drop(self, worker: int) -> None:
        """A worker is lost, and its partition not done."""
        self._add(self._open.pop(worker, Books()), -1)

    def _add(self, books: Books, sign: int) -> None:
        for name, count in books.counts.items():
            setattr(self._report, name, getattr(self._report, name) + sign * count)
        total = self._report.times.seconds
        for step, spent in books.seconds.items():
            total[step] = total.get(step, 0.0) + sign * spent
        self._reading.bytes_read += sign * books.bytes_read


def _add_up(total: dict[str, Any], books: Mapping[str, Any]) -> None:
    """Adds numbers to those of the same name, at any depth."""
    for name, value in books.items():
        if isinstance(value, Mapping):
            _add_up(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
