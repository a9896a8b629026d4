"""What a check comes to: counts by verdict and by reason, as JSON and as a table."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sosie.indexer.checking.verdicts import Line, Verdict
from sosie.indexer.report import MaxRejects

MAX_CATEGORIES = 10_000
"""Unmapped ones that are counted apart; the others are counted with their reason."""

_LISTED = 100
_SHOWN = 10
_WIDEST = 80


@dataclass
class _Reason:
    verdict: Verdict
    first: Line
    text: str
    count: int = 0


class Summary:
    """Counts lines as they are checked."""

    def __init__(self) -> None:
        self.lines: Counter[Verdict] = Counter()
        self.products = 0
        """Valid ones that count."""
        self.pictures = 0
        """That they list."""
        self.rejected_lines = 0
        self.rejected_pictures = 0
        self._reasons: dict[str, _Reason] = {}
        self._categories: Counter[str] = Counter()

    @property
    def rejected(self) -> int:
        """As `sosie index` counts: lines, and pictures of other lines."""
        return self.rejected_lines + self.rejected_pictures

    @property
    def offered(self) -> int:
        return self.pictures + self.rejected_lines

    def add(self, line: Line) -> None:
        self.lines[line.verdict] += 1
        if line.pictures:
            self.products += 1
            self.pictures += line.pictures
            self.rejected_pictures += line.missing
        else:
            self.rejected_lines += 1
        if line.unmapped in self._categories or len(self._categories) < MAX_CATEGORIES:
            self._categories[line.unmapped] += bool(line.unmapped)
        for finding in line.findings:
            reason = self._reasons.setdefault(finding.reason, _Reason(finding.verdict, line, finding.text))
            reason.count += 1

    def fails(self, limit: MaxRejects, *, strict: bool) -> bool:
        """Whether that is more than may be; `strict` allows no reject and no doubt at all."""
        doubtful = self.lines[Verdict.DOUBTFUL] + self.lines[Verdict.PARTIAL] + self.lines[Verdict.REJECTED]
        return bool(strict and doubtful) or limit.exceeded(self.rejected, self.offered)

    def as_dict(self, suggest: Callable[[str], Sequence[str]]) -> dict[str, Any]:
        """JSON types only; `suggest` gives what an unmapped category may become, the best first."""
        unmapped = [(name, count) for name, count in self._categories.most_common(_LISTED) if count]
        return {
            "lines": self.lines.total(),
            "verdicts": {verdict: self.lines[verdict] for verdict in Verdict},
            "products": self.products,
            "pictures": self.pictures,
            "rejected": {"lines": self.rejected_lines, "pictures": self.rejected_pictures},
            "reasons": {
                name: {
                    "count": reason.count,
                    "verdict": reason.verdict,
                    "first_file": reason.first.file,
                    "first_line": reason.first.line,
                    "first_text": reason.text,
                }
                for name, reason in sorted(self._reasons.items(), key=lambda item: -item[1].count)
            },
            "unmapped_categories": [
                {"category": name, "count": count, "suggestions": list(suggest(name))} for name, count in unmapped
            ],
        }


def format_summary(summary: dict[str, Any]) -> str:
    """Tables for people, of an Outcome's report."""
    total = f"{summary['pictures']:,} pictures of {summary['products']:,} products in {summary['lines']:,} lines"
    verdicts = [(name, f"{count:,}") for name, count in summary["verdicts"].items() if count]
    tables = [total, _format_table(("verdict", "lines"), verdicts)]
    if reasons := summary["reasons"]:
        rows = [(name, f"{each['count']:,}", each["verdict"], _describe_first(each)) for name, each in reasons.items()]
        tables.append(_format_table(("reason", "count", "verdict", "first"), rows))
    if categories := summary["unmapped_categories"][:_SHOWN]:
        found = [(each["category"], f"{each['count']:,}", next(iter(each["suggestions"]), "")) for each in categories]
        tables.append(_format_table(("unmapped category", "count", "suggestion"), found))
    files = [f"verdicts: {summary['verdicts_file']}"]
    near = summary["cleaning"].get("near_duplicates", {})
    if near.get("file"):
        pairs = near["within_products"] + near["across_products"]
        files.append(f"pairs of pictures that look alike: {pairs:,}, in {near['file']}")
    return "\n\n".join([*tables, "\n".join(files)])


def _format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, counts to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in {"count", "lines"} else cell.ljust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
        ).rstrip()
        for row in (head, *rows)
    )


def _describe_first(reason: dict[str, Any]) -> str:
    text = f"{reason['first_file']}:{reason['first_line']}: {reason['first_text']}"
    return text if len(text) <= _WIDEST else text[:_WIDEST] + "…"
