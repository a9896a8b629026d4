"""What `--json` prints: one object a line for each question, as docs/client.md describes it.

Programs rely on it: names stay, new ones may join.
"""

from typing import Any, TypeAlias

from sosie.client.errors import ErrorDetails, SosieError
from sosie.client.questions import IndexedPicture
from sosie.client.results import (
    ClassifyResult,
    EmbeddingSpace,
    Hit,
    Picture,
    PictureMatch,
    Product,
    SearchResult,
)

Json: TypeAlias = dict[str, Any]


def query_json(*, picture: str | None, like: IndexedPicture | None, sentence: str | None) -> Json:
    """The question that an object answers; what it did not have is null."""
    named = None
    if like is not None:
        named = {"shop": like.shop, "product_id": like.product_id, "picture_id": like.picture_id or None}
    return {"picture": picture, "like": named, "sentence": sentence}


def search_json(query: Json, result: SearchResult) -> Json:
    """A search's answer."""
    return {
        "query": query,
        "hits": [_hit(hit) for hit in result.hits],
        "space": _space(result.space),
        "step_times": dict(result.step_times),
    }


def classify_json(query: Json, result: ClassifyResult) -> Json:
    """A classification's answer."""
    return {
        "query": query,
        "classifications": [
            {
                "label_set": answer.label_set,
                "labels": [{"label": label.label, "score": label.score} for label in answer.labels],
            }
            for answer in result.classifications
        ],
        "space": _space(result.space),
        "step_times": dict(result.step_times),
    }


def failure_json(query: Json, error: SosieError | OSError) -> Json:
    """A question that got no answer. `code` is gRPC's, or UNREADABLE for a file of the caller's own."""
    code, details = (error.code, error.details) if isinstance(error, SosieError) else ("UNREADABLE", ErrorDetails())
    return {
        "query": query,
        "error": {
            "code": code,
            "reason": details.reason or None,
            "message": str(error),
            "fields": [{"field": v.field, "description": v.description} for v in details.violations],
            "retry_after": details.retry_after,
        },
    }


def _hit(hit: Hit) -> Json:
    return {
        "score": hit.score,
        "similarity": hit.similarity,
        "product": _product(hit.product),
        "picture": _match(hit.picture),
        "pictures": [_match(match) for match in hit.pictures],
        "shares": [{"part": share.part, "share": share.share, "cosine": share.cosine} for share in hit.shares],
    }


def _product(product: Product) -> Json:
    price = product.price
    return {
        "shop": product.shop,
        "product_id": product.product_id,
        "title": product.title,
        "brand": product.brand,
        "category_path": list(product.category_path),
        "price": None if price is None else {"amount": str(price.amount), "currency": price.currency},
        "url": product.url,
        "pictures": [_picture(picture) for picture in product.pictures],
        "availability": product.availability.value,
        "attributes": dict(product.attributes),
        "description": product.description,
        "update_time": None if product.update_time is None else product.update_time.isoformat(),
    }


def _picture(picture: Picture) -> Json:
    return {"id": picture.id, "url": picture.url, "view": picture.view}


def _match(match: PictureMatch) -> Json:
    return {"id": match.id, "url": match.url, "score": match.score}


def _space(space: EmbeddingSpace) -> Json:
    return {
        "name": space.name,
        "parts": [{"name": part.name, "size": part.size, "weight": part.weight} for part in space.parts],
        "category_path": list(space.category_path),
    }
