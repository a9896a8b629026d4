"""Which categories of a catalog the category files do not cover, with proposals."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sosie.indexer.catalog import Catalog
from sosie.indexer.cleaning.categories import CategoryMap, join_path
from sosie.indexer.cleaning.cleaner import Cleaner
from sosie.indexer.cleaning.proposals import Proposal, Proposer
from sosie.indexer.entry import Entry

MAX_CATEGORIES = 100_000
"""That are listed: more in one catalog are a fault of the field, not categories."""


@dataclass(frozen=True)
class Gap:
    """A shop's category that no entry covers: in how many products, and what it may become, the best first."""

    shop: str
    category: str
    products: int
    proposals: tuple[Proposal, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON types only."""
        proposals = [
            {"category": join_path(proposal.target), "score": proposal.score, "like": proposal.like}
            for proposal in self.proposals
        ]
        return {"shop": self.shop, "category": self.category, "products": self.products, "proposals": proposals}


@dataclass(frozen=True)
class Coverage:
    """What is covered, in products, and the gaps: by shop, those with the most products first.

    `uncounted` are products of uncovered categories beyond the first `bound`.
    """

    products: int
    covered: int
    uncounted: int
    gaps: tuple[Gap, ...]
    bound: int = MAX_CATEGORIES


def find_uncovered(path: Path, categories: CategoryMap, shop: str | None = None) -> Coverage:
    """Reads the catalog's valid products, of one shop or of all. Raises OSError where it cannot be read."""
    counts: Counter[tuple[str, str]] = Counter()
    products = covered = uncounted = 0
    cleaner = Cleaner()  # categories are compared in the form that they have when they are mapped
    for found in Catalog(path, cleaner=cleaner):
        if not isinstance(found, Entry) or (shop is not None and found.product.shop != shop):
            continue
        products += 1
        name = (found.product.shop, join_path(found.product.category_path))
        if categories.covers(found.product.shop, found.product.category_path):
            covered += 1
        elif name in counts or len(counts) < MAX_CATEGORIES:
            counts[name] += 1
        else:
            uncounted += 1
    proposer = Proposer(categories)
    gaps = (
        Gap(name, category, number, tuple(proposer.propose(category))) for (name, category), number in counts.items()
    )
    return Coverage(
        products, covered, uncounted, tuple(sorted(gaps, key=lambda gap: (gap.shop, -gap.products, gap.category)))
    )


def format_table(coverage: Coverage) -> str:
    """A line a gap: shop, products, category, the best proposal and its score."""
    rows = [("shop", "products", "category", "proposal", "score")]
    for gap in coverage.gaps:
        best = gap.proposals[0] if gap.proposals else None
        proposal, score = (join_path(best.target), f"{best.score:.2f}") if best else ("", "")
        rows.append((gap.shop, f"{gap.products:,}", gap.category, proposal, score))
    if len(rows) == 1:
        return "every category is covered"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def format_toml(coverage: Coverage) -> str:
    """Entries as a category file has them; what has no proposal is commented out, for a person to fill in."""
    pieces = []
    for shop, gaps in groupby(coverage.gaps, key=lambda gap: gap.shop):
        pieces += [f"[shops.{_quote(shop)}]", *_format_entries(gaps), ""]
    return "\n".join(pieces)


def _format_entries(gaps: Iterable[Gap]) -> Iterable[str]:
    for gap in gaps:
        products = f"{gap.products:,} product{'' if gap.products == 1 else 's'}"
        if gap.proposals:
            best, *others = gap.proposals
            also = "".join(f", or {_quote(join_path(other.target))} {other.score:.2f}" for other in others)
            yield f"{_quote(gap.category)} = {_quote(join_path(best.target))}  # {products}, {best.score:.2f}{also}"
        else:
            yield f'# {_quote(gap.category)} = ""  # {products}'


def _quote(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's too, but for the control character U+007F, which cleaning takes away."""
    return json.dumps(text, ensure_ascii=False)
