"""A partition's books: what a worker sends to where the run's are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sosie.indexer.rejects import Reject, RejectsFile
from sosie.indexer.report import Report

_LISTED = frozenset({"rejected_lines", "rejected_pictures"})  # they are counted as the run's books list them


@dataclass(frozen=True)
class Books:
    """What became of a partition so far.

    `counts` are the report's by their names there, `seconds` those of its steps. `bytes_read` is of the catalog, as it
    is packed. `error` is one line where the partition could not be done.
    """

    counts: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    bytes_read: int = 0
    cleaning: Mapping[str, Any] = field(default_factory=dict)
    """The catalog's books."""
    lines: tuple[Reject, ...] = ()
    """Rejected lines; no more than the partition has."""
    pictures: tuple[Reject, ...] = ()
    """Rejected pictures."""
    error: str = ""


class PartitionReport(Report):
    """A report that lists rejects in memory, to be sent."""

    def __init__(self) -> None:
        super().__init__(_Unlisted())
        self._lines: list[Reject] = []
        self._pictures: list[Reject] = []

    def reject_line(self, reject: Reject) -> None:
        super().reject_line(reject)
        self._lines.append(reject)

    def reject_picture(self, reject: Reject) -> None:
        super().reject_picture(reject)
        self._pictures.append(reject)

    def count(self, bytes_read: int) -> Books:
        """The numbers alone: for a look at a partition that is under way."""
        counts = {name: value for name, value in vars(self).items() if _is_count(name, value)}
        return Books(counts, dict(self.times.seconds), bytes_read)

    def close(self, bytes_read: int, cleaning: Mapping[str, Any], error: str = "") -> Books:
        """Everything."""
        lines, pictures = tuple(self._lines), tuple(self._pictures)
        return replace(self.count(bytes_read), cleaning=cleaning, lines=lines, pictures=pictures, error=error)


class _Unlisted(RejectsFile):
    """No file: the run that gets the books has one."""

    def __init__(self) -> None:
        pass

    def add(self, reject: Reject) -> None:
        pass


def _is_count(name: str, value: object) -> bool:
    return type(value) in {int, float} and not name.startswith("_") and name not in _LISTED
