"""What cleaning did, in lines for people."""

from typing import Any


def describe(books: dict[str, Any]) -> list[str]:
    """Lines for the summary, of what is in CleanCatalog.books; none where nothing was changed or found."""
    lines = []
    changes = [f"{rule} {count:,}" for rule, count in books["changes"].items() if count]
    if changes:
        lines.append(f"  cleaned    {books['products_changed']:>9,}  products; changes: {', '.join(changes)}")
    if books["unmapped_categories"]:
        lines.append(f"  unmapped   {books['unmapped_categories']:>9,}  products have a category that no entry covers")
    if books["repeated_products"]:
        lines.append(
            f"  repeated   {books['repeated_products']:>9,}  lines have a product of which another line counts"
        )
    near = books.get("near_duplicates", {})
    if near.get("file"):
        pairs = near["within_products"] + near["across_products"]
        across = f"{near['across_products']:,} of two products"
        lines.append(
            f"  look alike {pairs:>9,}  pairs of pictures ({across}, {near['dropped']:,} dropped): {near['file']}"
        )
    return lines
