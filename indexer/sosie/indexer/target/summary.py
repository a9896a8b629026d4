"""What pruning and rebuilding did, for people."""

from collections.abc import Mapping
from typing import Any


def describe(report: Mapping[str, Any]) -> list[str]:
    """Lines for the summary, from its sections "pruned" and "rebuild"; none where neither was asked for."""
    lines = []
    pruned = report.get("pruned")
    if pruned:
        other = f", {pruned['other_shops_rows']:,} of other shops stay" if pruned["other_shops_rows"] else ""
        lines.append(f"  pruned     {pruned['rows']:>9,}{other}")
        lines += [f"    {loss['gone']:,} of {loss['rows']:,} of {loss['shop']}" for loss in pruned["shops"]]
    rebuild = report.get("rebuild")
    if rebuild:
        if rebuild["switched"]:
            over = f" in place of {rebuild['replaces']}" if rebuild["replaces"] else ""
            lines.append(f"live now: {rebuild['collection']}{over}")
        else:
            lines.append(f"not live: {rebuild['collection']}")
        if rebuild["metrics"]:
            lines.append("  " + ", ".join(f"{name} {value:.4g}" for name, value in rebuild["metrics"].items()))
        lines += [
            f"  {loss['gone']:,} of {loss['rows']:,} pictures of {loss['shop']} are not in it"
            for loss in rebuild["losses"]
        ]
        lines += [f"  nothing uses {name}: sosie index drop {name}" for name in rebuild["orphans"]]
    return lines
