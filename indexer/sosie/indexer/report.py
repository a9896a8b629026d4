"""The job's books: what became of every line and picture, and where the time went."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sosie.engine.timing import StepTimes
from sosie.indexer.rejects import Reject, RejectsFile
from sosie.indexer.reporting.events import Events


@dataclass(frozen=True)
class MaxRejects:
    """How much may fall out before the job counts as failed: a number, or a share of what the catalog offers."""

    limit: float
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> "MaxRejects":
        """Reads "20" or "2.5%". Raises ValueError for anything else."""
        number = re.fullmatch(r"(\d+)|(\d{1,3}(?:\.\d+)?)%", text.strip())
        if not number or (number[2] and float(number[2]) > 100):  # noqa: PLR2004 - percent
            raise ValueError(f"expected a number such as 20, or a share such as 2.5%, got {text!r}")
        return cls(float(number[1] or number[2]), percent=number[1] is None)

    def exceeded(self, rejected: int, offered: int) -> bool:
        """Whether `rejected` of `offered` are too many."""
        return rejected > (offered * self.limit / 100 if self.percent else self.limit)

    def __str__(self) -> str:
        return f"{self.limit:g}{'%' if self.percent else ''}"


class Report:
    """Counts as the job goes on, and lists rejects in their file. Used from the event loop's thread only."""

    def __init__(
        self, rejects: RejectsFile, clock: Callable[[], float] = time.monotonic, events: Events | None = None
    ) -> None:
        """`clock` gives seconds; `events` hears of what happens, nobody where it is None."""
        self.events = events or Events()
        self._rejects = rejects
        self._clock = clock
        self._start = clock()
        self.products = 0
        self.pictures = 0
        """Pictures that the catalog's valid lines have listed so far."""
        self.indexed = 0
        """Written with a vector that was made in this run."""
        self.shared = 0
        """Of those, pictures that look the same as one that was encoded already."""
        self.rewritten = 0
        """Written anew around the vector that the index had."""
        self.unchanged = 0
        self.resumed = 0
        """Of the unchanged ones those that an unfinished run before this one is known to have done."""
        self.rejected_lines = 0
        self.rejected_pictures = 0
        self.reasons: dict[str, tuple[int, Reject]] = {}
        """By field: how many rejects, and the first of them."""
        self.index_pending = False
        """The store still builds the index of what was written: until then searches may miss neighbours."""
        self.retries = 0
        self.last_trouble = ""
        """Why a request was last tried again."""
        self.sections: dict[str, Any] = {}
        """What parts of the run have to say beside these numbers, by name; JSON types only."""
        self.times = StepTimes()
        """Of check, decode, encode and write; steps of batches that run side by side add up."""

    @property
    def seconds(self) -> float:
        return self._clock() - self._start

    @property
    def settled(self) -> int:
        """Pictures with which the job is through."""
        return self.indexed + self.rewritten + self.unchanged + self.rejected_pictures

    @property
    def rejected(self) -> int:
        return self.rejected_lines + self.rejected_pictures

    @property
    def offered(self) -> int:
        """Pictures of valid lines, and each invalid line as if it were one."""
        return self.pictures + self.rejected_lines

    def reject_line(self, reject: Reject) -> None:
        self.rejected_lines += 1
        self._note(reject)

    def reject_picture(self, reject: Reject) -> None:
        self.rejected_pictures += 1
        self._note(reject)

    def _note(self, reject: Reject) -> None:
        self._rejects.add(reject)
        field = re.sub(r"\[.*?\]", "[]", reject.field) or "line"
        count, first = self.reasons.get(field, (0, reject))
        self.reasons[field] = (count + 1, first)

    def note_retry(self, error: Exception) -> None:
        self.retries += 1
        self.last_trouble = " ".join(str(error).split())
        self.events.emit("retry", reason=self.last_trouble)

    def as_dict(self) -> dict[str, Any]:
        """The books as what `--json` prints: JSON types only."""
        seconds = self.seconds
        waited = sum(self.times.seconds.values())
        return {
            "products": self.products,
            "pictures": self.pictures,
            "indexed": self.indexed,
            "shared": self.shared,
            "rewritten": self.rewritten,
            "unchanged": self.unchanged,
            "resumed": self.resumed,
            "rejected": {
                "lines": self.rejected_lines,
                "pictures": self.rejected_pictures,
                "by_field": {
                    field: {
                        "count": count,
                        "first_file": first.file,
                        "first_line": first.line,
                        "first_reason": first.reason,
                    }
                    for field, (count, first) in sorted(self.reasons.items(), key=lambda item: -item[1][0])
                },
                "file": str(self._rejects.path) if self.rejected else None,
            },
            "index_pending": self.index_pending,
            "retries": self.retries,
            "seconds": round(seconds, 3),
            "pictures_per_second": round(self.settled / seconds, 2) if seconds > 0 else 0.0,
            "time_share": {
                step: round(spent / waited, 3) if waited else 0.0 for step, spent in self.times.seconds.items()
            },
            **self.sections,
        }
