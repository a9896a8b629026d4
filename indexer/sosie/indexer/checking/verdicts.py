"""What is found of a line, what that comes to, and the file that lists it."""

import errno
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO


class Verdict(StrEnum):
    """What an indexing would do with a line, from the best to the worst.

    ok: takes it as it is. changed: takes it cleaned. doubtful: takes it, and a person should look at it. partial: takes
    it without some of its pictures. rejected: does not take it.
    """

    OK = "ok"
    CHANGED = "changed"
    DOUBTFUL = "doubtful"
    PARTIAL = "partial"
    REJECTED = "rejected"


_ORDER = list(Verdict)


@dataclass(frozen=True)
class Finding:
    """Something about a line: `reason` is what it is counted by, `verdict` what it alone comes to."""

    verdict: Verdict
    reason: str
    field: str
    text: str


@dataclass(frozen=True)
class Line:
    """A line of the catalog with all that was found of it.

    `pictures` is how many it lists, 0 where it is no product or does not count; `unmapped` its category where the
    category files do not cover it.
    """

    file: str
    line: int
    shop: str
    product_id: str
    pictures: int
    findings: tuple[Finding, ...] = ()
    unmapped: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings; a product of which no picture is left is rejected."""
        if self.pictures and self.missing == self.pictures:
            return Verdict.REJECTED
        return max((finding.verdict for finding in self.findings), key=_ORDER.index, default=Verdict.OK)

    @property
    def missing(self) -> int:
        """Pictures that cannot be used."""
        return sum(finding.verdict is Verdict.PARTIAL for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "file": self.file,
            "line": self.line,
            "verdict": self.verdict,
            "shop": self.shop,
            "product_id": self.product_id,
            "findings": [
                {"reason": finding.reason, "field": finding.field, "text": finding.text} for finding in self.findings
            ],
        }


class VerdictsFile:
    """JSON Lines of verdicts, one a line of the catalog; what an earlier check left there is replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Raises OSError where it cannot be written."""
        if not self.path.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "no folder for the verdicts", str(self.path.parent))
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def add(self, line: Line) -> None:
        """Raises OSError where it cannot be written."""
        if self._file:
            self._file.write(json.dumps(line.as_dict(), ensure_ascii=False) + "\n")
