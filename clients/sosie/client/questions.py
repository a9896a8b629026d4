"""What callers ask with: pictures, crops and filters."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import BinaryIO, NamedTuple, TypeAlias

from sosie.client.errors import ErrorDetails, FieldViolation, InvalidRequest

MAX_IMAGE_BYTES = 20 * 2**20
"""The contract's bound; checked before sending because gRPC's own refusal reads like an overload."""


@dataclass(frozen=True)
class IndexedPicture:
    """A picture that is already in the index. Without `picture_id` it is the product's first one."""

    shop: str
    product_id: str
    picture_id: str = ""


class Crop(NamedTuple):
    """A box in relative coordinates, (0, 0) the top left corner of the upright picture and (1, 1) the bottom right."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class PriceRange:
    """Prices in a currency (ISO 4217) from `min` to `max`, both included; one of them may be left open."""

    currency: str
    min: Decimal | float | None = None
    max: Decimal | float | None = None


@dataclass(frozen=True)
class Filter:
    """What a product must be: all that is set must hold, nothing set lets everything pass.

    Any of the `shops`, any of the `brands` (without regard to case), a category path that begins with
    `category_prefix`, a price in the range, orderable now, and each of the attributes with just that value.
    """

    shops: Sequence[str] = ()
    brands: Sequence[str] = ()
    category_prefix: Sequence[str] = ()
    price: PriceRange | None = None
    in_stock: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


ImageSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | IndexedPicture
"""A file's path, a picture's bytes (JPEG, PNG or WebP), a file open for reading bytes, or an indexed picture."""


def read_image(image: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> bytes:
    """The picture's encoded bytes.

    Raises OSError where a file cannot be read, InvalidRequest above 20 MiB, TypeError for anything else than an
    image source.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        data = bytes(image)
    elif isinstance(image, str | os.PathLike):
        with open(image, "rb") as file:  # noqa: PTH123 - a path of any kind, as open takes it
            data = file.read(MAX_IMAGE_BYTES + 1)
    elif hasattr(image, "read"):
        data = image.read(MAX_IMAGE_BYTES + 1)
        if not isinstance(data, bytes):
            raise TypeError("image: the file must be open for reading bytes (mode 'rb'), not text")
    else:
        raise TypeError(f"image: must be a path, bytes, an open file or an IndexedPicture, got {type(image).__name__}")
    if len(data) > MAX_IMAGE_BYTES:
        problem = f"must be at most {MAX_IMAGE_BYTES // 2**20} MiB"
        raise InvalidRequest(
            f"image.data: {problem}",
            ErrorDetails(violations=(FieldViolation("image.data", problem),)),
        )
    return data
