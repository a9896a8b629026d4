"""The three rpcs over fakes: what they answer, and what they refuse."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from PIL import Image

from gateway_shop import Shop, draw
from sosie.engine.errors import BackendUnavailableError
from sosie.engine.space import EmbeddingSpace
from sosie.gateway.main import Gateway, run_gateway
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

# Its generated types are those of blocking calls, whatever the channel.
Stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub


def image(colour: str = "red", kind: str = "shoe") -> pb.Image:
    return pb.Image(data=draw(colour, kind))


def read_details(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The error's google.rpc.Status details by type."""
    metadata: Any = error.trailing_metadata()
    status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    found: dict[str, Any] = {}
    for detail in status.details:
        for kind in kinds:
            if detail.Is(kind.DESCRIPTOR):
                message = kind()
                detail.Unpack(message)
                found[kind.DESCRIPTOR.name] = message
    return found


async def test_search_by_image_finds_the_product(stub: Any) -> None:
    """A picture finds its own product first, once, with both of its pictures and the link to buy."""
    answer = await stub.SearchByImage(pb.SearchByImageRequest(image=image()))
    assert len(answer.hits) == 6
    hit = answer.hits[0]
    assert hit.product.product_id == "red-shoe"
    assert hit.product.url == "https://shop.example/red-shoe"
    assert hit.score == pytest.approx(1, abs=1e-5)
    assert [picture.id for picture in hit.pictures] == ["front", "dark"]
    assert hit.picture.url == "https://shop.example/red-shoe-front.png"
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)


async def test_search_tells_space_and_steps(stub: Any) -> None:
    """An answer names the embedding space, the weights that counted and where the time went."""
    answer = await stub.SearchByImage(pb.SearchByImageRequest(image=image(), sentence="red"))
    assert answer.space.name == "fake-000000000001"
    weights = {part.name: part.weight for part in answer.space.parts}
    assert weights == {"look": 1, "colour": 0.5, "meaning": 0.5, "words": 1}
    steps = [step.step for step in answer.step_times]
    assert steps == ["wait", "decode", "encode_image", "tokenize", "encode_text", "search", "group"]


async def test_search_by_text(stub: Any) -> None:
    """A sentence finds the product whose words it says."""
    answer = await stub.SearchByText(pb.SearchByTextRequest(sentence="green hat"))
    assert answer.hits[0].product.product_id == "green-hat"


async def test_sentence_beside_picture(stub: Any) -> None:
    """A sentence beside a picture moves the answer to what it says."""
    options = pb.SearchOptions(weights={"words": 20})
    answer = await stub.SearchByImage(pb.SearchByImageRequest(image=image(), sentence="blue hat", options=options))
    assert answer.hits[0].product.product_id == "blue-hat"


async def test_indexed_picture(stub: Any) -> None:
    """A picture named by its product is searched with as if its bytes had been sent."""
    named = pb.Image(indexed=pb.IndexedPicture(shop="shop", product_id="green-shoe"))
    by_name = await stub.SearchByImage(pb.SearchByImageRequest(image=named))
    by_bytes = await stub.SearchByImage(pb.SearchByImageRequest(image=image("green")))
    assert [hit.product.product_id for hit in by_name.hits] == [hit.product.product_id for hit in by_bytes.hits]
    named.indexed.picture_id = "dark"
    answer = await stub.SearchByImage(pb.SearchByImageRequest(image=named))
    assert answer.hits[0].picture.id == "dark"


async def test_ungrouped_hits(stub: Any) -> None:
    """Without grouping each picture is a hit."""
    options = pb.SearchOptions(group_by_product=False, top_k=3)
    answer = await stub.SearchByImage(pb.SearchByImageRequest(image=image(), options=options))
    assert [(hit.product.product_id, hit.picture.id) for hit in answer.hits[:2]] == [
        ("red-shoe", "front"),
        ("red-shoe", "dark"),
    ]
    assert not answer.hits[0].pictures


async def test_shares_sum_to_the_score(stub: Any) -> None:
    """On request a hit says what each part gave, and the shares sum to its score."""
    options = pb.SearchOptions(explain=True, weights={"colour": 3})
    answer = await stub.SearchByImage(pb.SearchByImageRequest(image=image(), options=options))
    for hit in answer.hits:
        assert {share.part for share in hit.shares} == {"look", "colour"}
        assert sum(share.share for share in hit.shares) == pytest.approx(hit.score, abs=1e-5)


async def test_top_k_and_min_score(stub: Any) -> None:
    """top_k cuts the list, and min_score leaves out what scores less, down to nothing."""
    options = pb.SearchOptions(top_k=2)
    assert len((await stub.SearchByImage(pb.SearchByImageRequest(image=image(), options=options))).hits) == 2
    options = pb.SearchOptions(min_score=0.9999)
    assert len((await stub.SearchByImage(pb.SearchByImageRequest(image=image(), options=options))).hits) == 1
    options = pb.SearchOptions(min_score=0.9999, filter=pb.Filter(brands=["Tide"]))
    assert not (await stub.SearchByImage(pb.SearchByImageRequest(image=image(), options=options))).hits


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (pb.Filter(brands=["tide"]), {"red-hat", "green-hat", "blue-hat"}),
        (pb.Filter(category_prefix=["Things", "Shoe"]), {"red-shoe", "green-shoe", "blue-shoe"}),
        (pb.Filter(price=pb.PriceRange(currency_code="EUR", max=30)), {"red-shoe", "red-hat"}),
        (pb.Filter(price=pb.PriceRange(currency_code="USD", max=30)), set()),
        (pb.Filter(in_stock=True, brands=["Tide"]), {"red-hat", "green-hat"}),
        (pb.Filter(attributes={"colour": "blue"}), {"blue-shoe", "blue-hat"}),
        (pb.Filter(shops=["elsewhere"]), set()),
    ],
    ids=str,
)
async def test_filter(stub: Any, filter: pb.Filter, expected: set[str]) -> None:
    """Hits are what the filter asks for."""
    answer = await stub.SearchByText(pb.SearchByTextRequest(sentence="red", options=pb.SearchOptions(filter=filter)))
    found = await stub.SearchByImage(pb.SearchByImageRequest(image=image(), options=pb.SearchOptions(filter=filter)))
    assert {hit.product.product_id for hit in found.hits} == expected
    assert {hit.product.product_id for hit in answer.hits} <= expected


async def test_crop_is_what_counts(stub: Any) -> None:
    """A crop makes the rest of the picture not count."""
    both = Image.new("RGB", (64, 32))
    for x, (colour, kind) in ((0, ("red", "shoe")), (32, ("blue", "hat"))):
        both.paste(Image.open(io.BytesIO(draw(colour, kind))), (x, 0))
    file = io.BytesIO()
    both.save(file, "PNG")
    crop = pb.Crop(left=0.5, top=0, right=1, bottom=1)
    answer = await stub.SearchByImage(pb.SearchByImageRequest(image=pb.Image(data=file.getvalue(), crop=crop)))
    assert answer.hits[0].product.product_id == "blue-hat"


async def test_classify_served_and_free(stub: Any) -> None:
    """Each label set gets its best labels, with scores that sum to 1 over the whole set."""
    request = pb.ClassifyRequest(
        image=image("green"),
        label_sets=[
            pb.LabelSet(served="hue"),
            pb.LabelSet(free=pb.FreeLabels(name="mine", labels=["red shoe", "green hat"])),
        ],
        top_k=3,
    )
    answer = await stub.Classify(request)
    hue, mine = answer.classifications
    assert (hue.label_set, hue.labels[0].label) == ("hue", "green")
    assert sum(label.score for label in hue.labels) == pytest.approx(1, abs=1e-5)
    assert mine.label_set == "mine"
    assert {label.label for label in mine.labels} == {"red shoe", "green hat"}
    assert sum(label.score for label in mine.labels) == pytest.approx(1, abs=1e-5)


async def test_classify_by_default_scores_what_is_served(stub: Any) -> None:
    """Without label sets every served set answers."""
    answer = await stub.Classify(pb.ClassifyRequest(image=image("blue"), top_k=1))
    assert [(c.label_set, c.labels[0].label, len(c.labels)) for c in answer.classifications] == [("hue", "blue", 1)]


def bomb() -> bytes:
    """A small PNG of more than 50 megapixels."""
    file = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(file, "PNG")
    return file.getvalue()


def search(**options: Any) -> pb.SearchByImageRequest:
    return pb.SearchByImageRequest(image=image(), options=pb.SearchOptions(**options))


def crop(left: float, top: float, right: float, bottom: float) -> pb.SearchByImageRequest:
    box = pb.Crop(left=left, top=top, right=right, bottom=bottom)
    return pb.SearchByImageRequest(image=pb.Image(data=draw("red", "hat"), crop=box))


def price(currency: str = "EUR", **bounds: float) -> pb.SearchByImageRequest:
    return search(filter=pb.Filter(price=pb.PriceRange(currency_code=currency, **bounds)))


def free(*labels: str) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(image=image(), label_sets=[pb.LabelSet(free=pb.FreeLabels(labels=labels))])


INVALID: list[tuple[Any, str]] = [
    (pb.SearchByImageRequest(), "image"),
    (pb.SearchByImageRequest(image=pb.Image(data=b"")), "image.data"),
    (pb.SearchByImageRequest(image=pb.Image(data=b"no picture")), "image.data"),
    (pb.SearchByImageRequest(image=pb.Image(data=draw("red", "hat")[:60])), "image.data"),
    (pb.SearchByImageRequest(image=pb.Image(data=bomb())), "image.data"),
    (crop(0.5, 0, 0.5, 1), "image.crop"),
    (crop(0, 0.5, 1, 1.5), "image.crop"),
    (crop(-0.1, 0, 1, 1), "image.crop"),
    (crop(float("nan"), 0, 1, 1), "image.crop"),
    (pb.SearchByImageRequest(image=image(), sentence="  \n"), "sentence"),
    (pb.SearchByImageRequest(image=pb.Image(indexed=pb.IndexedPicture(shop="shop"))), "image.indexed.product_id"),
    (search(top_k=0), "options.top_k"),
    (search(top_k=101), "options.top_k"),
    (search(top_k=-5), "options.top_k"),
    (search(min_score=1.5), "options.min_score"),
    (search(min_score=float("nan")), "options.min_score"),
    (search(weights={"look": -1}), "options.weights['look']"),
    (search(weights={"taste": 1}), "options.weights['taste']"),
    (search(weights={"look": 0, "colour": 0}), "options.weights"),
    (price("EURO", min=1), "options.filter.price.currency_code"),
    (price("XYZ", min=1), "options.filter.price.currency_code"),
    (price(min=20, max=10), "options.filter.price"),
    (price(), "options.filter.price"),
    (price(min=-1), "options.filter.price.min"),
    (price(max=float("inf")), "options.filter.price.max"),
    (search(filter=pb.Filter(shops=["s"] * 101)), "options.filter.shops"),
    (search(filter=pb.Filter(brands=[""])), "options.filter.brands[0]"),
    (search(filter=pb.Filter(category_prefix=["c"] * 9)), "options.filter.category_prefix"),
    (pb.SearchByTextRequest(), "sentence"),
    (pb.SearchByTextRequest(sentence="   "), "sentence"),
    (pb.SearchByTextRequest(sentence="x" * 1025), "sentence"),
    (pb.ClassifyRequest(image=image(), top_k=101), "top_k"),
    (pb.ClassifyRequest(image=image(), label_sets=[pb.LabelSet(served="brand")]), "label_sets[0].served"),
    (pb.ClassifyRequest(image=image(), label_sets=[pb.LabelSet()]), "label_sets[0]"),
    (pb.ClassifyRequest(image=image(), label_sets=[pb.LabelSet(served="hue")] * 9), "label_sets"),
    (free(), "label_sets[0].free.labels"),
    (free("a", "a"), "label_sets[0].free.labels"),
    (free("a", " "), "label_sets[0].free.labels[1]"),
    (free(*map(str, range(257))), "label_sets[0].free.labels"),
]


def ask(stub: Any, request: Any) -> Any:
    calls: dict[type, Callable[[Any], Any]] = {
        pb.SearchByImageRequest: stub.SearchByImage,
        pb.SearchByTextRequest: stub.SearchByText,
        pb.ClassifyRequest: stub.Classify,
    }
    return calls[type(request)](request)


@pytest.mark.parametrize(("request_", "field"), INVALID, ids=[f"{i}-{field}" for i, (_, field) in enumerate(INVALID)])
async def test_invalid_argument(stub: Any, request_: Any, field: str) -> None:
    """What is out of bounds gets INVALID_ARGUMENT with the field's path."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(stub, request_)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    details = read_details(caught.value)
    assert details["ErrorInfo"].domain == "sosie.v1"
    assert [violation.field for violation in details["BadRequest"].field_violations] == [field]


async def test_picture_that_is_not_indexed(stub: Any) -> None:
    """A named picture that the index does not hold is NOT_FOUND."""
    for names in ({"product_id": "nothing"}, {"product_id": "red-hat", "picture_id": "nothing"}):
        named = pb.Image(indexed=pb.IndexedPicture(shop="shop", **names))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SearchByImage(pb.SearchByImageRequest(image=named))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def fail(shop: Shop, settings: GatewaySettings, space: str = "") -> grpc.aio.AioRpcError:
    """The error of a search, from a gateway over this shop."""
    backends = shop.backends(space)
    await backends.refresh()
    async with (
        run_gateway(settings, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Stub(channel).SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=5)
        return caught.value


async def test_other_space(filled: Shop, settings: GatewaySettings) -> None:
    """A collection in another space than the encoders' is FAILED_PRECONDITION, and both are named."""
    old = EmbeddingSpace("old-1", (await filled.store.space(timeout=1)).parts, "meaning", 1.0)
    await filled.store.switch((await filled.store.begin(old, timeout=1)).name, timeout=1)
    error = await fail(filled, settings)
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "old-1" in (error.details() or "")
    assert "fake-000000000001" in (error.details() or "")


async def test_wanted_space(filled: Shop, settings: GatewaySettings) -> None:
    """A collection in another space than the operator wants is FAILED_PRECONDITION, and both are named."""
    error = await fail(filled, settings, space="new-2")
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "new-2" in (error.details() or "")


async def test_no_index(shop: Shop, settings: GatewaySettings) -> None:
    """Before anything was indexed a search is FAILED_PRECONDITION."""
    error = await fail(shop, settings)
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert read_details(error)["ErrorInfo"].reason == "NO_INDEX"


async def test_models_away(filled: Shop, settings: GatewaySettings) -> None:
    """While the model server is away a search is UNAVAILABLE, with a time to try again and no address."""
    filled.models.error = BackendUnavailableError("connection refused by 10.1.2.3:8001")
    error = await fail(filled, settings)
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "10.1.2.3" not in (error.details() or "")
    assert read_details(error)["RetryInfo"].retry_delay.seconds == 1


async def test_deadline(filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose time runs out in the store ends before its caller's deadline."""

    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(60)

    backends = filled.backends()
    await backends.refresh()
    monkeypatch.setattr(filled.encoder, "encode_texts", never)
    async with (
        run_gateway(settings, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Stub(channel).SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=0.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_overload(filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond slots and queue a call is RESOURCE_EXHAUSTED at once; those before it are answered."""
    going = asyncio.Event()
    encode = filled.encoder.encode_texts

    async def wait(*arguments: Any, **named: Any) -> Any:
        await going.wait()
        return await encode(*arguments, **named)

    backends = filled.backends()
    await backends.refresh()
    monkeypatch.setattr(filled.encoder, "encode_texts", wait)
    async with (
        run_gateway(settings, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        stub = Stub(channel)
        request = pb.SearchByTextRequest(sentence="red shoe")
        taken = [
            asyncio.ensure_future(stub.SearchByText(request, timeout=10))
            for _ in range(settings.slots_each() + settings.queue)
        ]
        await until_taken(gateway, settings)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SearchByText(request, timeout=10)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "RetryInfo" in read_details(caught.value)
        sending = open_stream(channel)
        assert await sending.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # before a byte of its message came
        going.set()
        answers = await asyncio.gather(*taken)
    assert all(answer.hits[0].product.product_id == "red-shoe" for answer in answers)


def open_stream(channel: grpc.aio.Channel, *messages: bytes, timeout: float | None = 10) -> Any:
    """A call of SearchByText that sends these messages, and waits for ever before it ends or sends another."""
    method: Any = channel.stream_unary("/sosie.v1.VisualSearchService/SearchByText", None, None)

    async def send() -> AsyncIterator[bytes]:
        for message in messages:
            yield message
        await asyncio.Event().wait()

    return method(send(), timeout=timeout)


async def test_call_without_a_message(channel: grpc.aio.Channel) -> None:
    """A call that ends before its message came is told that there was none."""
    method: Any = channel.stream_unary("/sosie.v1.VisualSearchService/SearchByText", None, None)
    call = method(iter(()), timeout=10)
    assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "is missing" in await call.details()


async def test_message_that_does_not_come(filled: Shop, settings: GatewaySettings) -> None:
    """Who gives no deadline, and sends nothing, is waited for no longer than a call may take."""
    async with (
        run_gateway(settings.model_copy(update={"default_deadline": 0.2}), filled.backends()) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        silent = open_stream(channel, timeout=None)
        assert await silent.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "did not arrive in time" in await silent.details()
        request = pb.SearchByTextRequest(sentence="red shoe").SerializeToString()
        answer = pb.SearchByTextResponse.FromString(await open_stream(channel, request, timeout=None))
    assert answer.hits[0].product.product_id == "red-shoe"


async def until_taken(gateway: Gateway, settings: GatewaySettings) -> None:
    """Waits until all slots and places in the queue are taken."""

    def queued() -> float | None:
        return gateway.telemetry.registry.get_sample_value("sosie_queued", {"method": "SearchByText"})

    async with asyncio.timeout(10):
        while queued() != settings.queue:  # noqa: ASYNC110 - nothing tells when a call takes its place
            await asyncio.sleep(0.01)
