"""The SDK against a gateway with canned answers."""

import io
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from client.canned_gateway import CannedGateway
from sosie.client import (
    Availability,
    Client,
    Crop,
    EmbeddingPart,
    Filter,
    IndexedPicture,
    InvalidRequest,
    PartShare,
    Picture,
    PictureMatch,
    Price,
    PriceRange,
    Product,
)
from sosie.v1 import product_pb2
from sosie.v1 import visual_search_pb2 as contract

JPEG = b"\xff\xd8\xff picture"


def test_a_hit_carries_the_product_as_plain_values(client: Client) -> None:
    """Every field of a product, a picture and a share arrives."""
    hit = client.search_by_text("boots", explain=True).hits[0]
    assert hit.product == Product(
        shop="brno",
        product_id="B/1",
        title="Chelsea boot",
        brand="Ådal",
        category_path=("Women", "Shoes"),
        price=Price(Decimal("89.90"), "EUR"),
        url="https://brno.example/b1",
        pictures=(Picture("front", "https://brno.example/b1-front.jpg", "front"), Picture("back")),
        availability=Availability.IN_STOCK,
        attributes={"colour": "black"},
        description="Goes with everything.",
        update_time=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
    )
    assert (hit.score, hit.similarity) == (0.93, 0.8)
    assert hit.picture == hit.pictures[0] == PictureMatch("front", "https://brno.example/b1-front.jpg", 0.93)
    assert hit.shares == (PartShare("look", 0.85, 0.9), PartShare("colour", -0.05, -0.1))


def test_an_answer_says_where_and_how_long(client: Client) -> None:
    """The embedding space and the seconds of each step come with the hits."""
    result = client.search_by_text("boots")
    assert result.space.name == "mini-3f2a9c01b7d4"
    assert result.space.parts[1] == EmbeddingPart("colour", 48, 0.5)
    assert result.step_times == {"decode": 0.004, "search": 0.008}


def test_what_a_shop_does_not_say_is_none_or_empty(client: Client, gateway: CannedGateway) -> None:
    """A product with only its required fields has no price, no time and an unknown availability."""
    gateway.hits = [contract.Hit(product=product_pb2.Product(shop="a", product_id="b", title="c"))]
    product = client.search_by_text("c").hits[0].product
    assert product == Product("a", "b", "c")
    assert product.price is None
    assert product.availability is Availability.UNKNOWN


def test_nothing_that_fits_is_an_empty_answer(client: Client, gateway: CannedGateway) -> None:
    """No hits are no error."""
    gateway.hits = []
    assert client.search_by_text("unicorns").hits == ()


def test_classify_answers_per_label_set(client: Client, gateway: CannedGateway) -> None:
    """Labels come in order, each with its score."""
    answer = client.classify(JPEG).classifications[0]
    assert answer.label_set == "imagenet"
    assert [(label.label, label.score) for label in answer.labels] == [("running shoe", 0.7), ("sandal", 0.3)]
    assert gateway.requests == [contract.ClassifyRequest(image=contract.Image(data=JPEG))]


def test_label_sets_of_both_kinds_are_sent(client: Client, gateway: CannedGateway) -> None:
    """Served sets go by name, labels of the caller's own as one set or as several with names."""
    client.classify(JPEG, label_sets=["imagenet"], labels=["red", "blue"], top_k=2, crop=(0, 0, 0.5, 1))
    client.classify(JPEG, labels={"material": ["suede"], "sole": ["flat", "heel"]})
    first, second = gateway.requests
    assert first == contract.ClassifyRequest(
        image=contract.Image(data=JPEG, crop=contract.Crop(right=0.5, bottom=1)),
        label_sets=[
            contract.LabelSet(served="imagenet"),
            contract.LabelSet(free=contract.FreeLabels(labels=["red", "blue"])),
        ],
        top_k=2,
    )
    assert [(s.free.name, list(s.free.labels)) for s in second.label_sets] == [
        ("material", ["suede"]),
        ("sole", ["flat", "heel"]),
    ]


def test_search_by_image_sends_every_option(client: Client, gateway: CannedGateway) -> None:
    """Each argument lands in its field."""
    client.search_by_image(
        JPEG,
        sentence="in suede",
        crop=Crop(0.25, 0, 1, 0.5),
        top_k=3,
        weights={"colour": 3},
        filter=Filter(
            shops=["brno"],
            brands=["Ådal"],
            category_prefix=["Women"],
            price=PriceRange("EUR", max=Decimal("99.5")),
            in_stock=True,
            attributes={"colour": "black"},
        ),
        min_score=0.5,
        group_by_product=False,
        explain=True,
    )
    assert gateway.requests == [
        contract.SearchByImageRequest(
            image=contract.Image(data=JPEG, crop=contract.Crop(left=0.25, right=1, bottom=0.5)),
            sentence="in suede",
            options=contract.SearchOptions(
                top_k=3,
                weights={"colour": 3},
                filter=contract.Filter(
                    shops=["brno"],
                    brands=["Ådal"],
                    category_prefix=["Women"],
                    price=contract.PriceRange(currency_code="EUR", max=99.5),
                    in_stock=True,
                    attributes={"colour": "black"},
                ),
                min_score=0.5,
                group_by_product=False,
                explain=True,
            ),
        )
    ]


def test_what_is_not_given_is_left_to_the_gateway(client: Client, gateway: CannedGateway) -> None:
    """Absent arguments leave optional fields unset: the gateway's defaults hold."""
    client.search_by_image(JPEG)
    client.search_by_text("boots")
    for request in gateway.requests:
        for name in ("top_k", "min_score", "group_by_product", "filter"):
            assert not request.options.HasField(name)
    assert not gateway.requests[0].HasField("sentence")


def test_zero_and_false_are_not_absent(client: Client, gateway: CannedGateway) -> None:
    """A top_k of 0 reaches the gateway, which refuses it by name."""
    client.search_by_text("boots", top_k=0, min_score=0, group_by_product=False)
    options = gateway.requests[0].options
    assert options.HasField("top_k")
    assert options.HasField("min_score")
    assert options.HasField("group_by_product")


def test_a_picture_comes_in_many_forms(client: Client, gateway: CannedGateway, photo: Path) -> None:
    """A path, its text, bytes, an open file and a named picture all ask the same method."""
    with photo.open("rb") as file:
        for image in (photo, str(photo), photo.read_bytes(), bytearray(photo.read_bytes()), file):
            client.search_by_image(image)
    assert {request.image.data for request in gateway.requests} == {photo.read_bytes()}
    client.search_by_image(IndexedPicture("brno", "B/1", "back"))
    indexed = contract.IndexedPicture(shop="brno", product_id="B/1", picture_id="back")
    assert gateway.requests[-1].image.indexed == indexed


def test_what_is_no_picture_is_a_type_error(client: Client, gateway: CannedGateway) -> None:
    """Numbers and text files are refused before anything is sent."""
    with pytest.raises(TypeError, match="got int"):
        client.classify(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mode 'rb'"):
        client.classify(io.StringIO("text"))  # type: ignore[arg-type]
    assert gateway.requests == []


def test_a_missing_file_is_an_os_error(client: Client) -> None:
    """Files are the caller's own: Python's own error says which."""
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        client.search_by_image("missing.jpg")


def test_a_string_for_a_list_is_a_type_error(client: Client) -> None:
    """A single string would be sent letter by letter."""
    with pytest.raises(TypeError, match="labels: must be a list"):
        client.classify(JPEG, labels="suede")
    with pytest.raises(TypeError, match=r"filter.brands: must be a list"):
        client.search_by_text("boots", filter=Filter(brands="Ådal"))


def test_a_picture_of_20_mib_goes_through(client: Client, gateway: CannedGateway) -> None:
    """The contract's largest picture fits into a message."""
    client.search_by_image(b"\xff" * 20 * 2**20)
    assert len(gateway.requests[0].image.data) == 20 * 2**20


def test_a_larger_picture_is_not_sent(client: Client, gateway: CannedGateway) -> None:
    """Above 20 MiB the field is named without troubling the gateway."""
    with pytest.raises(InvalidRequest, match="at most 20 MiB") as caught:
        client.search_by_image(io.BytesIO(b"\xff" * (20 * 2**20 + 1)))
    assert caught.value.field == "image.data"
    assert gateway.requests == []


@pytest.mark.parametrize("options", [{"top_k": 2**40}, {"weights": {"a": 1, "\udcff": 2}}])
def test_a_value_that_no_field_holds_is_an_invalid_request(client: Client, options: dict[str, object]) -> None:
    """Numbers out of range and broken text do not surface as protobuf's errors."""
    with pytest.raises(InvalidRequest, match="does not fit its field"):
        client.search_by_text("boots", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_time_limit_is_a_number_above_zero(timeout: float) -> None:
    """No call can be made without an end."""
    with pytest.raises(ValueError, match="seconds above 0"):
        Client("localhost:1", timeout=timeout)


def test_one_client_serves_many_threads(client: Client, gateway: CannedGateway) -> None:
    """Calls from several threads all get their answer."""
    sizes: list[int] = []
    threads = [
        threading.Thread(target=lambda: sizes.append(len(client.search_by_text("boots").hits))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sizes == [2] * 8


def test_no_proxy_leads_to_this_machine(gateway: CannedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is not asked for what is on loopback."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with Client(gateway.address) as client:
        assert client.search_by_text("boots").hits


def test_values_read_well(client: Client) -> None:
    """The representations are one line that says what matters."""
    result = client.search_by_text("boots")
    assert repr(result) == "<SearchResult: 2 hits, best 0.930 'Chelsea boot', in mini-3f2a9c01b7d4>"
    assert repr(result.hits[0]) == "<Hit 0.930 <Product brno/B/1 'Chelsea boot' 89.90 EUR> by picture 'front'>"
    assert repr(client.classify(JPEG).classifications[0]) == (
        "<Classification imagenet: running shoe 0.700, sandal 0.300>"
    )


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("89.90", "EUR", "89.90 EUR"),
        ("5", "EUR", "5.00 EUR"),
        ("1.2345", "USD", "1.2345 USD"),
        ("12000.00", "JPY", "12000 JPY"),
        ("1.250", "KWD", "1.25 KWD"),
    ],
)
def test_prices_are_exact_and_read_well(amount: str, currency: str, text: str) -> None:
    """A price shows its currency's minor units, and more where it has more."""
    assert str(Price(Decimal(amount), currency)) == text
