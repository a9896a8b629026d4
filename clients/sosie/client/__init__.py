"""The SDK: ask a sosie gateway from Python.

from sosie.client import Client

with Client("localhost:50051") as client:
    print(client.search_by_text("red leather sneakers").hits)
"""

from sosie.client.client import Client
from sosie.client.errors import (
    AccessDenied,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServerFault,
    SosieError,
    Unavailable,
    WrongSpace,
)
from sosie.client.questions import Crop, Filter, IndexedPicture, PriceRange
from sosie.client.results import (
    Availability,
    Classification,
    ClassifyResult,
    EmbeddingPart,
    EmbeddingSpace,
    Hit,
    LabelScore,
    PartShare,
    Picture,
    PictureMatch,
    Price,
    Product,
    SearchResult,
)

__all__ = [
    "AccessDenied",
    "Availability",
    "Cancelled",
    "Classification",
    "ClassifyResult",
    "Client",
    "Crop",
    "DeadlineExceeded",
    "EmbeddingPart",
    "EmbeddingSpace",
    "FailedPrecondition",
    "FieldViolation",
    "Filter",
    "Hit",
    "IndexedPicture",
    "InvalidRequest",
    "LabelScore",
    "NotFound",
    "Overloaded",
    "PartShare",
    "Picture",
    "PictureMatch",
    "Price",
    "PriceRange",
    "Product",
    "SearchResult",
    "ServerFault",
    "SosieError",
    "Unavailable",
    "WrongSpace",
]
