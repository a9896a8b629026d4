"""The summary for people."""

from typing import Any

from sosie.indexer.cleaning.summary import describe as describe_cleaning
from sosie.indexer.target.summary import describe as describe_target


def describe(report: dict[str, Any]) -> str:
    """Lines of text, of what Outcome.report holds."""
    rejected = report["rejected"]
    shares = ", ".join(f"{step} {share:.0%}" for step, share in report["time_share"].items())
    head = f"{report['pictures']:,} pictures of {report['products']:,} products"
    fallen = f"({rejected['lines']:,} lines, {rejected['pictures']:,} pictures)"
    resumed = f"  ({report['resumed']:,} by an earlier run that did not end)" if report["resumed"] else ""
    lines = [
        f"{head}, collection {report['collection']}, space {report['space']}",
        f"  indexed    {report['indexed']:>9,}",
        f"  rewritten  {report['rewritten']:>9,}  (their vectors were kept)",
        f"  unchanged  {report['unchanged']:>9,}{resumed}",
        f"  rejected   {rejected['lines'] + rejected['pictures']:>9,}  {fallen}",
    ]
    lines += [f"    {_describe_fault(field, fault)}" for field, fault in rejected["by_field"].items()]
    lines += describe_cleaning(report["cleaning"])
    lines += describe_target(report)
    lines.append(f"in {report['seconds']:,.1f} s, {report['pictures_per_second']:,.1f} pictures/s")
    if shares:
        lines.append(f"time waited for: {shares}")
    return "\n".join(lines)


def _describe_fault(field: str, fault: dict[str, Any]) -> str:
    place = f"line {fault['first_line']}" + (f" of {fault['first_file']}" if fault["first_file"] else "")
    return f"{fault['count']:,} x {field}, first in {place}: {fault['first_reason']}"
