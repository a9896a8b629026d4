"""Questions to the gateway that no honest client asks, as the bytes of a request."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from fuzz.picture_files import make_corpus, spoil
from sosie.v1 import visual_search_pb2 as pb

REQUESTS: Mapping[str, type[Message]] = {
    "Classify": pb.ClassifyRequest,
    "SearchByImage": pb.SearchByImageRequest,
    "SearchByText": pb.SearchByTextRequest,
}

_STRANGE = (
    "",
    " ",
    "\n\t ",
    "\0",
    "a\0b",
    "x" * 1023,
    "x" * 1024,
    "x" * 1025,
    "x" * 20_000,
    "\N{GRINNING FACE}" * 1024,
    "\N{MAN}\N{ZERO WIDTH JOINER}" * 300,
    "e" + "\N{COMBINING ACUTE ACCENT}" * 1000,
    "\N{RIGHT-TO-LEFT OVERRIDE}eohs\N{POP DIRECTIONAL FORMATTING}",
    "\N{ZERO WIDTH SPACE}" * 50,
    "\N{BYTE ORDER MARK}red",
    "\U0010ffff\ufffe\ufdd0",
    "'; drop table shoes; --",
    "\"'\\%_{}[]()$`",
    "${jndi:ldap://127.0.0.1/a}",
    "../../etc/hostname",
    "http://127.0.0.1:1/",
    "&amp;" * 200,
    "&#x110000;&#0;&#xd800;",
    "â€œ" * 300,
    "Ã©" * 500,
)
_SANE: Mapping[str, Sequence[str]] = {
    "shop": ("shop",),
    "shops": ("shop", "other"),
    "product_id": ("red-shoe", "blue-hat", "green-shoe"),
    "picture_id": ("front", "dark", ""),
    "sentence": ("red shoe", "striped hat", "blue", "green shoe in black"),
    "served": ("hue",),
    "labels": ("red", "a shoe", "hat", "black"),
    "brands": ("Norden", "Tide"),
    "category_prefix": ("Things",),
    "currency_code": ("EUR", "USD"),
    "weights": ("look", "colour", "meaning", "words"),
    "attributes": ("colour", "red"),
}
_FLOATS = (0.0, -0.0, 1.0, 0.5, 0.1, 100.0, 100.1, -1.0, 9e12, 1e38, 1e-45, math.inf, -math.inf, math.nan)
_INTEGERS = (0, 1, 5, 100, 101, -1, 2**31 - 1, -(2**31))


def draw_request(rng: random.Random) -> tuple[str, bytes]:
    """An rpc's name and the bytes of a request to it."""
    name = rng.choice(list(REQUESTS))
    if rng.random() < 0.05:
        return name, rng.randbytes(rng.choice((0, 1, 2, 10, 1000)))
    strangeness = rng.choice((0.02, 0.1, 0.1, 0.5))
    data = _draw_message(rng, REQUESTS[name].DESCRIPTOR, strangeness).SerializeToString()
    if rng.random() < 0.4:
        data = rng.choice(_WIRE_FAULTS)(rng, data)
    return name, data


def _draw_message(rng: random.Random, descriptor: Any, strangeness: float) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if rng.random() > _likely(field):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _draw_map(rng, getattr(message, field.name), field, strangeness)
        elif field.is_repeated:
            count = rng.choice((1, 1, 2, 3)) if rng.random() > strangeness else rng.choice((0, 9, 17, 101, 300))
            values = [_draw_value(rng, field, strangeness) for _ in range(count)]
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(_draw_message(rng, field.message_type, strangeness))
        else:
            setattr(message, field.name, _draw_value(rng, field, strangeness))
    return message


def _likely(field: FieldDescriptor) -> float:
    """How often a field is set: what is required mostly, what narrows a search seldom."""
    if field.name in {"image", "data", "sentence", "shop", "product_id", "currency_code", "right", "bottom"}:
        return 0.9
    return 0.5 if field.name in {"options", "label_sets", "free", "min", "max", "labels"} else 0.25


def _draw_value(rng: random.Random, field: FieldDescriptor, strangeness: float) -> Any:
    if field.message_type is not None:
        return _draw_message(rng, field.message_type, strangeness)
    strange = rng.random() < strangeness
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _draw_picture(rng, strange=strange)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return rng.choice(_STRANGE if strange else _SANE.get(field.name, ("red",)))
    if field.cpp_type in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        sane = rng.uniform(0.6, 1) if field.name in {"right", "bottom", "max"} else rng.uniform(0, 0.5)
        return rng.choice(_FLOATS) if strange else sane
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    return rng.choice(_INTEGERS) if strange else rng.randrange(1, 20)


def _draw_map(rng: random.Random, entries: Any, field: FieldDescriptor, strangeness: float) -> None:
    entry: Any = field.message_type
    value = entry.fields_by_name["value"]
    for _ in range(rng.choice((1, 2)) if rng.random() > strangeness else rng.choice((0, 17, 200))):
        name = rng.choice(_STRANGE) if rng.random() < strangeness else rng.choice(_SANE[field.name])
        entries[name] = _draw_value(rng, value, strangeness)


def _draw_picture(rng: random.Random, *, strange: bool) -> bytes:
    data = rng.choice(list(make_corpus().values()))
    if not strange:
        return data
    return rng.choice((b"", rng.randbytes(40), spoil(rng, data), b"http://127.0.0.1:1/shoe.jpg"))


def _spoil_bytes(rng: random.Random, data: bytes) -> bytes:
    return spoil(rng, data) if data else b"\xff"


def _say_twice(rng: random.Random, data: bytes) -> bytes:
    """Two requests in one: of a oneof both members, of a field two values."""
    other = _draw_message(rng, rng.choice(list(REQUESTS.values())).DESCRIPTOR, 0.1).SerializeToString()
    return data + other


def _add_unknown(rng: random.Random, data: bytes) -> bytes:
    """Fields that the contract has not, of every wire type."""
    number = rng.choice((15, 100, 2**29 - 1))
    varint, fixed64, text, fixed32 = number << 3, number << 3 | 1, number << 3 | 2, number << 3 | 5
    pieces = (
        _varint(varint) + _varint(rng.getrandbits(64)),
        _varint(fixed64) + rng.randbytes(8),
        _varint(text) + _varint(5) + b"hello",
        _varint(text) + _varint(2**31 - 1) + b"short",
        _varint(fixed32) + rng.randbytes(4),
    )
    return data + b"".join(rng.choices(pieces, k=rng.choice((1, 5, 200))))


def _nest(rng: random.Random, data: bytes) -> bytes:
    """Groups in groups, deeper than any reader goes, open or closed."""
    depth = rng.choice((10, 99, 101, 5000))
    return data + b"\x7b" * depth + b"\x7c" * rng.choice((0, depth))


def _nest_in_known(rng: random.Random, data: bytes) -> bytes:
    """A field of the contract that holds the message itself, again and again."""
    made = data[:200]
    for _ in range(rng.choice((1, 5, 60))):
        made = bytes((rng.choice((1, 2, 3)) << 3 | 2,)) + _varint(len(made)) + made
    return made


def _break_text(rng: random.Random, data: bytes) -> bytes:
    """Text that is no UTF-8, and long varints."""
    broken = rng.choice((b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"red \xc3"))
    field = rng.choice((1, 2)) << 3 | 2
    return data + bytes((field, len(broken))) + broken + rng.choice((b"", b"\x08" + b"\xff" * 9 + b"\x01"))


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*made, number))


_WIRE_FAULTS: Sequence[Callable[[random.Random, bytes], bytes]] = (
    _spoil_bytes,
    _spoil_bytes,
    _say_twice,
    _add_unknown,
    _nest,
    _nest_in_known,
    _break_text,
)


@cache
def good_questions() -> Mapping[str, bytes]:
    """One of each rpc that is always answered."""
    picture = pb.Image(data=make_corpus()["png"])
    return {
        "Classify": pb.ClassifyRequest(image=picture).SerializeToString(),
        "SearchByImage": pb.SearchByImageRequest(image=picture).SerializeToString(),
        "SearchByText": pb.SearchByTextRequest(sentence="red shoe").SerializeToString(),
    }
