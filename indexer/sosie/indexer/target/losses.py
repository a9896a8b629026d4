"""What the index would lose, shop by shop, and whether that is more than was allowed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sosie.engine.store import Filter, Held, VectorStore
from sosie.indexer.retries import Retrier
from sosie.indexer.target.errors import RefusedError, StoppedError

PAGE = 2048
"""Rows that are looked at together."""

_SHOWN = 5  # shops in one message


@dataclass(frozen=True)
class Loss:
    """Of a shop's `rows` in the index so many would be `gone`. `left`: the run was told that the shop is no more."""

    shop: str
    rows: int
    gone: int
    left: bool = False

    @property
    def percent(self) -> float:
        return 100 * self.gone / self.rows if self.rows else 0.0

    def __str__(self) -> str:
        return f"{self.gone:,} of {self.rows:,} pictures of {self.shop!r} ({self.percent:.0f}%)"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def read_pages(
    store: VectorStore, filter: Filter, retrier: Retrier, *, timeout: float
) -> AsyncIterator[list[Held]]:
    """All rows that pass, in the order of their keys.

    Raises StoppedError between two pages, and the store's errors once retries do not help.
    """
    after = ""
    while True:

        async def read_page(after: str = after) -> list[Held]:
            return await store.page(after=after, limit=PAGE, filter=filter, timeout=timeout)

        check_going_on(retrier)
        page = await retrier.call(read_page)
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1].key


def check_going_on(retrier: Retrier) -> None:
    """Raises StoppedError where the run is to end."""
    if retrier.is_stopping:
        raise StoppedError


def check_losses(losses: Sequence[Loss], max_percent: float) -> None:
    """Raises RefusedError where a shop would lose more than that share of its rows.

    Each shop is judged alone: that a small one lost everything does not show in the sum over large ones. One that was
    named as gone may lose all.
    """
    excessive = [loss for loss in losses if not loss.left and loss.percent > max_percent]
    if excessive:
        raise RefusedError(
            f"the catalog lacks {describe_losses(excessive)}, more than --max-prune {max_percent:g}%: nothing was "
            "deleted; if the catalog is right, allow more"
        )


def describe_losses(losses: Sequence[Loss]) -> str:
    """The greatest of them, in words."""
    greatest = sorted(losses, key=lambda loss: (-loss.gone, loss.shop))
    shown = ", ".join(str(loss) for loss in greatest[:_SHOWN])
    rest = greatest[_SHOWN:]
    return shown + (f" and {sum(loss.gone for loss in rest):,} of {len(rest)} more shops" if rest else "")
