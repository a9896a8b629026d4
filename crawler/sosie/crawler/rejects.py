"""What a source offers and no catalog takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reject:
    """An offer or a page that becomes no product, and why.

    `reason` goes on where the field's name ends: "must have 1 to 512 characters, has 0". `field` is the one at fault,
    empty where the whole is. `source` is the page's address or the file's name, `line` is counted from 1 in it, 0 where
    lines mean nothing.
    """

    reason: str
    field: str = ""
    shop: str = ""
    product_id: str = ""
    source: str = ""
    line: int = 0


class Unusable(Exception):  # noqa: N818 - it says what the source is, as Reject does; nothing went wrong here
    """A source gives no product: becomes a Reject where source and line are known."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}" if field else reason)
        self.field = field
        self.reason = reason
