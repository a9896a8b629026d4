"""From the contract's requests to the engine's terms: every bound of the contract is checked here.

Each function raises InputError with the path of the field at fault.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from sosie.engine.currency import is_currency
from sosie.engine.errors import InputError
from sosie.engine.image import Crop
from sosie.engine.search import MAX_TOP_K, Wanted
from sosie.engine.space import check_bounds
from sosie.engine.store import Filter
from sosie.engine.text import MAX_SENTENCE
from sosie.v1 import visual_search_pb2 as pb

MAX_LABEL_SETS = 8
MAX_LABELS = 256
MAX_LABEL = 128
MAX_SET_NAME = 64
MAX_FILTER_VALUES = 100
MAX_CATEGORY_LEVELS = 8
MAX_FILTER_ATTRIBUTES = 16

_DEFAULT_TOP_K = 10
_DEFAULT_LABELS = 5
_MAX_PRICE = 9e12  # whole units: millionths of it fit 64 bits
_ANYTHING = Filter()

_Request = TypeVar("_Request", bound=Message)


def read_request(kind: type[_Request], data: bytes) -> _Request:
    """The message that a caller sent."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InputError("request", f"is no {kind.DESCRIPTOR.full_name} that can be read") from error


def read_sentence(sentence: str) -> str:
    """The sentence without blanks around it."""
    stripped = sentence.strip()
    if not stripped:
        raise InputError("sentence", "is blank: say what to look for")
    if len(sentence) > MAX_SENTENCE:
        raise InputError("sentence", f"has {len(sentence):,} characters, at most {MAX_SENTENCE:,} are taken")
    return stripped


def read_image(image: pb.Image) -> Crop:
    """The crop of an image that is one: bytes or the names of an indexed picture."""
    source = image.WhichOneof("source")
    if source is None:
        raise InputError("image", "is missing: give data or indexed")
    if source == "indexed":
        for name in ("shop", "product_id"):
            if not getattr(image.indexed, name):
                raise InputError(f"image.indexed.{name}", "is empty")
        if image.HasField("crop"):
            raise InputError("image.crop", "cannot be cut out of an indexed picture: send its bytes")
    if not image.HasField("crop"):
        return Crop()
    crop = Crop(image.crop.left, image.crop.top, image.crop.right, image.crop.bottom)
    crop.check()
    return crop


def read_wanted(options: pb.SearchOptions) -> Wanted:
    """How to search."""
    min_score = options.min_score
    if not 0 <= min_score <= 1:  # NaN fails too
        raise InputError("options.min_score", f"must be 0 to 1, got {min_score:g}")
    return Wanted(
        top_k=_read_top_k("options.top_k", options, _DEFAULT_TOP_K),
        min_score=min_score,
        filter=read_filter(options.filter) if options.HasField("filter") else _ANYTHING,
        group_by_product=options.group_by_product if options.HasField("group_by_product") else True,
        explain=options.explain,
    )


def read_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights by part; whether the space has these parts is the engine's to say."""
    check_bounds(weights, "options.weights")
    return dict(weights)


def read_filter(filter: pb.Filter) -> Filter:
    """What hits must be."""
    path = "options.filter"
    _check_values(f"{path}.shops", filter.shops, MAX_FILTER_VALUES)
    _check_values(f"{path}.brands", filter.brands, MAX_FILTER_VALUES)
    _check_values(f"{path}.category_prefix", filter.category_prefix, MAX_CATEGORY_LEVELS)
    if len(filter.attributes) > MAX_FILTER_ATTRIBUTES:
        raise InputError(f"{path}.attributes", f"has {len(filter.attributes)} entries, at most {MAX_FILTER_ATTRIBUTES}")
    currency, lowest, highest = _read_price(f"{path}.price", filter)
    return Filter(
        shops=tuple(filter.shops),
        brands=tuple(filter.brands),
        category_prefix=tuple(filter.category_prefix),
        currency=currency,
        min_price_micros=lowest,
        max_price_micros=highest,
        in_stock=filter.in_stock,
        attributes=dict(filter.attributes),
    )


def read_labels_wanted(request: pb.ClassifyRequest) -> int:
    """How many labels to give of each set."""
    return _read_top_k("top_k", request, _DEFAULT_LABELS)


def read_label_sets(label_sets: Sequence[pb.LabelSet], served: Iterable[str]) -> list[pb.LabelSet]:
    """The sets to score, those that are served where the request names none."""
    names = sorted(served)
    if len(label_sets) > MAX_LABEL_SETS:
        raise InputError("label_sets", f"has {len(label_sets)} sets, at most {MAX_LABEL_SETS} are taken")
    for i, label_set in enumerate(label_sets):
        path = f"label_sets[{i}]"
        match label_set.WhichOneof("source"):
            case "served":
                if label_set.served not in names:
                    known = ", ".join(names) or "none"
                    raise InputError(f"{path}.served", f"{label_set.served!r} is not served, only: {known}")
            case "free":
                _check_free_labels(f"{path}.free", label_set.free)
            case _:
                raise InputError(path, "is empty: give served or free")
    return list(label_sets) or [pb.LabelSet(served=name) for name in names]


def _check_free_labels(path: str, free: pb.FreeLabels) -> None:
    if len(free.name) > MAX_SET_NAME:
        raise InputError(f"{path}.name", f"has {len(free.name)} characters, at most {MAX_SET_NAME} are taken")
    if not 1 <= len(free.labels) <= MAX_LABELS:
        raise InputError(f"{path}.labels", f"has {len(free.labels)} labels, 1 to {MAX_LABELS} are taken")
    if len(set(free.labels)) < len(free.labels):
        raise InputError(f"{path}.labels", "holds the same label twice")
    for i, label in enumerate(free.labels):
        if not label.strip() or len(label) > MAX_LABEL:
            raise InputError(f"{path}.labels[{i}]", f"must have 1 to {MAX_LABEL} characters and not be blank")


def _read_top_k(field: str, message: pb.SearchOptions | pb.ClassifyRequest, default: int) -> int:
    top_k = message.top_k if message.HasField("top_k") else default
    if not 1 <= top_k <= MAX_TOP_K:
        raise InputError(field, f"must be 1 to {MAX_TOP_K}, got {top_k}")
    return top_k


def _read_price(path: str, filter: pb.Filter) -> tuple[str | None, int | None, int | None]:
    """Currency and both bounds in millionths."""
    if not filter.HasField("price"):
        return None, None, None
    price = filter.price
    if not is_currency(price.currency_code):
        raise InputError(f"{path}.currency_code", f"{price.currency_code!r} is no ISO 4217 currency, e.g. EUR")
    lowest = _read_amount(f"{path}.min", price.min) if price.HasField("min") else None
    highest = _read_amount(f"{path}.max", price.max) if price.HasField("max") else None
    if lowest is None and highest is None:
        raise InputError(path, "has no bound: give min, max or both")
    if lowest is not None and highest is not None and lowest > highest:
        raise InputError(path, f"is inverted: min {price.min:g} is above max {price.max:g}")
    return price.currency_code, lowest, highest


def _read_amount(field: str, amount: float) -> int:
    if not (math.isfinite(amount) and 0 <= amount <= _MAX_PRICE):
        raise InputError(field, f"must be 0 to {_MAX_PRICE:g}, got {amount:g}")
    return round(Decimal(repr(amount)) * 1_000_000)  # 5.99 is 5,990,000, not 5,989,999


def _check_values(field: str, values: Sequence[str], at_most: int) -> None:
    if len(values) > at_most:
        raise InputError(field, f"has {len(values)} values, at most {at_most} are taken")
    for i, value in enumerate(values):
        if not value:
            raise InputError(f"{field}[{i}]", "is empty")
