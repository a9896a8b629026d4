"""Between the SDK's values and the contract's messages: plain functions that know no network.

Bounds are the gateway's to check: it names the field and the bound, and only it knows the space and the label sets.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC
from decimal import Decimal

from sosie.client import results
from sosie.client.questions import Crop, Filter, ImageSource, IndexedPicture, read_image
from sosie.v1 import product_pb2, visual_search_pb2

_SCORE_DIGITS = 6  # a contract's float holds no more; rounding makes 0.8 of 0.800000011920929

_AVAILABILITY = {
    product_pb2.IN_STOCK: results.Availability.IN_STOCK,
    product_pb2.OUT_OF_STOCK: results.Availability.OUT_OF_STOCK,
    product_pb2.PREORDER: results.Availability.PREORDER,
}


def image_message(image: ImageSource, crop: Crop | tuple[float, float, float, float] | None) -> visual_search_pb2.Image:
    """The picture of a question. Raises what `read_image` does."""
    if isinstance(image, IndexedPicture):
        message = visual_search_pb2.Image(
            indexed=visual_search_pb2.IndexedPicture(
                shop=image.shop, product_id=image.product_id, picture_id=image.picture_id
            )
        )
    else:
        message = visual_search_pb2.Image(data=read_image(image))
    if crop is not None:
        left, top, right, bottom = crop
        message.crop.CopyFrom(visual_search_pb2.Crop(left=left, top=top, right=right, bottom=bottom))
    return message


def options_message(
    *,
    top_k: int | None,
    weights: Mapping[str, float] | None,
    filter: Filter | None,
    min_score: float | None,
    group_by_product: bool | None,
    explain: bool,
) -> visual_search_pb2.SearchOptions:
    """How to search; None leaves the choice to the gateway."""
    return visual_search_pb2.SearchOptions(
        top_k=top_k,
        weights=weights,
        filter=None if filter is None else filter_message(filter),
        min_score=min_score,
        group_by_product=group_by_product,
        explain=explain,
    )


def filter_message(filter: Filter) -> visual_search_pb2.Filter:
    """What a product must be."""
    for name in ("shops", "brands", "category_prefix"):
        _refuse_string(f"filter.{name}", getattr(filter, name))
    message = visual_search_pb2.Filter(
        shops=filter.shops,
        brands=filter.brands,
        category_prefix=filter.category_prefix,
        in_stock=filter.in_stock,
        attributes=filter.attributes,
    )
    if filter.price is not None:
        price = filter.price
        message.price.currency_code = price.currency
        if price.min is not None:
            message.price.min = float(price.min)
        if price.max is not None:
            message.price.max = float(price.max)
    return message


def label_set_messages(
    label_sets: Sequence[str] | None, labels: Sequence[str] | Mapping[str, Sequence[str]] | None
) -> list[visual_search_pb2.LabelSet]:
    """Served sets by name, then the caller's own labels: one set of them, or several by name."""
    _refuse_string("label_sets", label_sets)
    _refuse_string("labels", labels)
    own = labels if isinstance(labels, Mapping) else {"": labels} if labels is not None else {}
    for name, values in own.items():
        _refuse_string(f"labels[{name!r}]", values)
    return [visual_search_pb2.LabelSet(served=name) for name in label_sets or ()] + [
        visual_search_pb2.LabelSet(free=visual_search_pb2.FreeLabels(name=name, labels=values))
        for name, values in own.items()
    ]


def _refuse_string(field: str, value: object) -> None:
    """A single string is a sequence of letters: never what was meant."""
    if isinstance(value, str):
        raise TypeError(f"{field}: must be a list of strings, got the string {value!r}")


def search_result(
    response: visual_search_pb2.SearchByImageResponse | visual_search_pb2.SearchByTextResponse,
) -> results.SearchResult:
    """The answer to either kind of search."""
    return results.SearchResult(
        hits=tuple(_hit(hit) for hit in response.hits),
        space=_space(response.space),
        step_times=_step_times(response.step_times),
    )


def classify_result(response: visual_search_pb2.ClassifyResponse) -> results.ClassifyResult:
    """The answer to a Classify call."""
    return results.ClassifyResult(
        classifications=tuple(
            results.Classification(
                answer.label_set,
                tuple(results.LabelScore(label.label, _rounded(label.score)) for label in answer.labels),
            )
            for answer in response.classifications
        ),
        space=_space(response.space),
        step_times=_step_times(response.step_times),
    )


def product_value(message: product_pb2.Product) -> results.Product:
    """A product of the contract as a plain value."""
    return results.Product(
        shop=message.shop,
        product_id=message.product_id,
        title=message.title,
        brand=message.brand,
        category_path=tuple(message.category_path),
        price=_price(message.price) if message.HasField("price") else None,
        url=message.url,
        pictures=tuple(results.Picture(p.id, p.url, p.view) for p in message.pictures),
        availability=_AVAILABILITY.get(message.availability, results.Availability.UNKNOWN),
        attributes=dict(message.attributes),
        description=message.description,
        update_time=message.update_time.ToDatetime(tzinfo=UTC) if message.HasField("update_time") else None,
    )


def _price(message: product_pb2.Price) -> results.Price:
    amount = Decimal(message.units) + Decimal(message.nanos).scaleb(-9)
    in_hundredths = amount.quantize(Decimal("0.01"))
    return results.Price(in_hundredths if in_hundredths == amount else amount.normalize(), message.currency_code)


def _hit(message: visual_search_pb2.Hit) -> results.Hit:
    return results.Hit(
        product=product_value(message.product),
        score=_rounded(message.score),
        picture=_picture_match(message.picture),
        pictures=tuple(_picture_match(match) for match in message.pictures),
        shares=tuple(results.PartShare(s.part, _rounded(s.share), _rounded(s.cosine)) for s in message.shares),
        similarity=_rounded(message.similarity),
    )


def _picture_match(message: visual_search_pb2.PictureMatch) -> results.PictureMatch:
    return results.PictureMatch(message.id, message.url, _rounded(message.score))


def _space(message: visual_search_pb2.EmbeddingSpace) -> results.EmbeddingSpace:
    return results.EmbeddingSpace(
        message.name,
        tuple(results.EmbeddingPart(p.name, p.size, _rounded(p.weight)) for p in message.parts),
        tuple(message.category_path),
    )


def _step_times(messages: Sequence[visual_search_pb2.StepTime]) -> dict[str, float]:
    return {message.step: message.duration.ToTimedelta().total_seconds() for message in messages}


def _rounded(value: float) -> float:
    return round(value, _SCORE_DIGITS)
