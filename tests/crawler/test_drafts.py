"""From a draft to a product within the contract's bounds."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sosie.crawler.drafts import Draft, DraftPicture, absolute_url, build, picture_id
from sosie.crawler.rejects import Unusable
from sosie.v1 import product_pb2

SHOE = Draft("kicks", "1", "Air One", pictures=[DraftPicture("https://kicks.example/1.jpg")])


def test_whole() -> None:
    """Texts are tidied, addresses made absolute, words become values."""
    product, notes = build(
        replace(
            SHOE,
            title=" Air\u00a0 One ",
            brand="Runner\u200b",
            category_path=["Shoes", " ", "Low"],
            price="89,95 €",
            url="/air one",
            base="https://kicks.example/shoes/",
            pictures=[DraftPicture("1.jpg", "sole"), DraftPicture("//cdn.example/2.jpg"), DraftPicture("1.jpg")],
            availability="https://schema.org/InStock",
            attributes={"colour": "red", "size": " "},
            description="Soft.\r\n\r\n\r\nWarm.",
            update_time=datetime(2026, 11, 1, tzinfo=UTC),
        )
    )
    assert notes == ()
    assert (product.title, product.brand, list(product.category_path)) == ("Air One", "Runner", ["Shoes", "Low"])
    assert (product.price.currency_code, product.price.units) == ("EUR", 89)
    assert product.url == "https://kicks.example/air%20one"
    assert [(picture.url, picture.view) for picture in product.pictures] == [
        ("https://kicks.example/shoes/1.jpg", "sole"),
        ("https://cdn.example/2.jpg", ""),
    ]
    assert product.pictures[0].id == picture_id("https://kicks.example/shoes/1.jpg")
    assert product.availability == product_pb2.IN_STOCK
    assert dict(product.attributes) == {"colour": "red"}
    assert product.description == "Soft.\n\nWarm."
    assert product.update_time.ToJsonString() == "2026-11-01T00:00:00Z"


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (replace(SHOE, title=" \u200b"), "title must have 1 to 512 characters, has 0"),
        (replace(SHOE, title="x" * 513), "title must have 1 to 512 characters, has 513"),
        (replace(SHOE, product_id=""), "product_id must have 1 to 256 characters, has 0"),
        (replace(SHOE, title="Caf\ufffd"), "title is in another encoding than its source declares: 'Caf\ufffd'"),
        (replace(SHOE, price="soon", currency="EUR"), "price is no price: 'soon'"),
        (replace(SHOE, price="89.95"), "price says no currency: '89.95'"),
        (replace(SHOE, pictures=[DraftPicture("javascript:void(0)")]), "pictures must have 1 to 64 entries, has 0"),
    ],
)
def test_refused(draft: Draft, message: str) -> None:
    """What names a product or says what it costs must be right."""
    with pytest.raises(Unusable) as caught:
        build(draft)
    assert str(caught.value) == message


def test_cut() -> None:
    """Of the rest what is too long or too many is cut, what is wrong left out, and noted."""
    product, notes = build(
        replace(
            SHOE,
            brand="b" * 200,
            description="word " * 3000,
            category_path=[str(level) for level in range(9)],
            pictures=[DraftPicture(f"https://kicks.example/{number}.jpg") for number in range(70)],
            attributes={str(number): "x" * 300 for number in range(70)},
            url="mailto:shop@kicks.example",
        )
    )
    assert len(product.brand) == 128
    assert len(product.description) <= 10_000
    assert (len(product.category_path), len(product.pictures), len(product.attributes)) == (8, 64, 64)
    assert product.url == ""
    assert {
        "brand is cut to 128 characters",
        "description is cut to 10,000 characters",
        "category_path is cut to 8 levels",
        "pictures are cut to 64",
        "attributes are cut to 64",
        "url is no address and left out: 'mailto:shop@kicks.example'",
    } <= set(notes)


@pytest.mark.parametrize(
    "url", ["", "http://[::1", "http://a/\ud800", "data:image/png;base64,AA", "http://a/" + "x" * 2048]
)
def test_no_address(url: str) -> None:
    """What is no address becomes an empty one, and no error."""
    assert absolute_url(url) == ""
