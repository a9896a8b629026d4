"""`sosie search` from the command line to what people and programs read."""

import io
import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from client.canned_gateway import REFUSED, CannedGateway, invalid, status
from sosie.client import PriceRange, arguments
from sosie.client.cli import main
from sosie.v1 import visual_search_pb2 as contract

TABLE = """\
   score  title                             brand              price  picture  product
1  0.930  Chelsea boot                      Ådal           89.90 EUR  front    brno/B%2F1
2  0.250  <script>alert(1)</script> [2J 靴  "><img src=x>  12000 JPY  1        brno/X
2 hits in mini-3f2a9c01b7d4: decode 4 ms, search 8 ms
"""

EXPLAINED = """\
   score  similarity    look  colour  title                             brand              price  picture  product
1  0.930       0.800  +0.850  -0.050  Chelsea boot                      Ådal           89.90 EUR  front    brno/B%2F1
2  0.250       0.250                  <script>alert(1)</script> [2J 靴  "><img src=x>  12000 JPY  1        brno/X
2 hits in mini-3f2a9c01b7d4: decode 4 ms, search 8 ms
"""

ANSWER: dict[str, Any] = {
    "query": {"picture": None, "like": None, "sentence": "boots"},
    "hits": [
        {
            "score": 0.93,
            "similarity": 0.8,
            "product": {
                "shop": "brno",
                "product_id": "B/1",
                "title": "Chelsea boot",
                "brand": "Ådal",
                "category_path": ["Women", "Shoes"],
                "price": {"amount": "89.90", "currency": "EUR"},
                "url": "https://brno.example/b1",
                "pictures": [
                    {"id": "front", "url": "https://brno.example/b1-front.jpg", "view": "front"},
                    {"id": "back", "url": "", "view": ""},
                ],
                "availability": "in_stock",
                "attributes": {"colour": "black"},
                "description": "Goes with everything.",
                "update_time": "2026-09-21T14:13:20+00:00",
            },
            "picture": {"id": "front", "url": "https://brno.example/b1-front.jpg", "score": 0.93},
            "pictures": [
                {"id": "front", "url": "https://brno.example/b1-front.jpg", "score": 0.93},
                {"id": "back", "url": "", "score": 0.3},
            ],
            "shares": [
                {"part": "look", "share": 0.85, "cosine": 0.9},
                {"part": "colour", "share": -0.05, "cosine": -0.1},
            ],
        }
    ],
    "space": {
        "name": "mini-3f2a9c01b7d4",
        "parts": [
            {"name": "look", "size": 256, "weight": 1.0},
            {"name": "colour", "size": 48, "weight": 0.5},
            {"name": "words", "size": 384, "weight": 0.0},
        ],
        "category_path": [],
    },
    "step_times": {"decode": 0.004, "search": 0.008},
}


def test_people_get_a_table(gateway: CannedGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are aligned, wide signs included; what could steer a terminal is gone."""
    gateway.hits = [contract.Hit(product=h.product, score=h.score, picture=h.picture) for h in gateway.hits]
    assert main(["search", "--text", "boots", "--address", gateway.address]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (TABLE, "")


def test_explain_shows_the_parts(gateway: CannedGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Each part that counted has a column of its share."""
    assert main(["search", "--text", "boots", "--explain", "--address", gateway.address]) == 0
    assert capsys.readouterr().out == EXPLAINED
    assert gateway.requests[0].options.explain


def test_weights_of_a_category_are_told(gateway: CannedGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the gateway took a category's weights, the last line names it."""
    gateway.space.category_path.extend(["Women", "Dresses"])
    assert main(["search", "--text", "a dress", "--address", gateway.address]) == 0
    assert "2 hits in mini-3f2a9c01b7d4, weighed as Women/Dresses: decode" in capsys.readouterr().out


def test_programs_get_one_object_a_line(gateway: CannedGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """The documented object, field by field."""
    gateway.hits = gateway.hits[:1]
    assert main(["search", "--text", "boots", "--json", "--address", gateway.address]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == ANSWER


def test_nothing_that_fits_is_said(gateway: CannedGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty answer is a fine one."""
    gateway.hits = []
    assert main(["search", "--text", "unicorns", "--address", gateway.address]) == 0
    assert capsys.readouterr().out.startswith("nothing fits in mini-3f2a9c01b7d4: decode 4 ms")


def test_every_option_reaches_the_gateway(gateway: CannedGateway, photo: Path) -> None:
    """Each option lands in its field of the contract."""
    line = (
        "--text suede --crop 0.25,0,1,0.5 --top-k 3 --weight colour=3 --weight look=0.5 --min-score 0.5 --no-group "
        "--explain --shop a --shop b --brand Ådal --category Women/T-Shirts%2FTops --price ..99.5eur --in-stock "
        "--attribute colour=black --attribute fit=a=b --timeout 5"
    )
    assert main(["search", str(photo), *line.split(), "--address", gateway.address]) == 0
    assert gateway.requests == [
        contract.SearchByImageRequest(
            image=contract.Image(data=photo.read_bytes(), crop=contract.Crop(left=0.25, right=1, bottom=0.5)),
            sentence="suede",
            options=contract.SearchOptions(
                top_k=3,
                weights={"colour": 3, "look": 0.5},
                min_score=0.5,
                group_by_product=False,
                explain=True,
                filter=contract.Filter(
                    shops=["a", "b"],
                    brands=["Ådal"],
                    category_prefix=["Women", "T-Shirts/Tops"],
                    price=contract.PriceRange(currency_code="EUR", max=99.5),
                    in_stock=True,
                    attributes={"colour": "black", "fit": "a=b"},
                ),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("brno/B%2F1", contract.IndexedPicture(shop="brno", product_id="B/1")),
        ("brno/100%25/back", contract.IndexedPicture(shop="brno", product_id="100%", picture_id="back")),
    ],
)
def test_like_names_an_indexed_picture(gateway: CannedGateway, name: str, picture: contract.IndexedPicture) -> None:
    """The name that tables show, slashes escaped, is the name that --like reads."""
    assert main(["search", "--like", name, "--text", "in suede", "--address", gateway.address]) == 0
    assert gateway.requests[0].image.indexed == picture
    assert gateway.requests[0].sentence == "in suede"
    assert arguments.format_picture_name(picture.shop, picture.product_id, picture.picture_id) == name


def test_standard_input_is_a_photo(gateway: CannedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads the picture from a pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xd8\xff piped")))
    assert main(["search", "-", "--address", gateway.address]) == 0
    assert gateway.requests[0].image.data == b"\xff\xd8\xff piped"


def test_a_bad_photo_lets_the_others_go_on(
    gateway: CannedGateway, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fault is one line that names its file; the status is 1 and the good photos have their answer."""
    refused = tmp_path / "refused.jpg"
    refused.write_bytes(REFUSED)
    missing = tmp_path / "missing.jpg"
    photos = [str(path) for path in (missing, refused, tmp_path, photo)]
    assert main(["search", *photos, "--address", gateway.address]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        f"sosie search: {missing}: No such file or directory",
        f"sosie search: {refused}: image.data: cannot be decoded",
        f"sosie search: {tmp_path}: is a folder: name the files in it",
    ]
    assert shown.out.startswith(f"{photo}\n")
    assert "Chelsea boot" in shown.out


def test_a_failed_question_is_an_object_too(
    gateway: CannedGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs find the error where the answer would have been."""
    refused = tmp_path / "refused.jpg"
    refused.write_bytes(REFUSED)
    assert main(["search", str(refused), "missing.jpg", "--json", "--address", gateway.address]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {
        "query": {"picture": str(refused), "like": None, "sentence": None},
        "error": {
            "code": "INVALID_ARGUMENT",
            "reason": "INVALID_INPUT",
            "message": "image.data: cannot be decoded",
            "fields": [{"field": "image.data", "description": "cannot be decoded"}],
            "retry_after": None,
        },
    }
    assert second["error"]["code"] == "UNREADABLE"


def test_a_gateway_that_fails_ends_the_run(
    gateway: CannedGateway, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the next photo would meet too is said once."""
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2))
    reason = error_details_pb2.ErrorInfo(domain="sosie.v1", reason="OVERLOADED")
    gateway.failure = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry, reason)
    with pytest.raises(SystemExit) as caught:
        main(["search", str(photo), str(photo), "--address", gateway.address])
    assert caught.value.code == 1
    assert capsys.readouterr().err == "sosie search: full; try again in 2 s\n"
    assert len(gateway.requests) == 1


def test_a_bad_option_ends_the_run(gateway: CannedGateway, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An option is wrong for every photo: it is said once, without a photo's name."""
    gateway.failure = invalid("options.top_k", "must be 1 to 100, got 0")
    with pytest.raises(SystemExit):
        main(["search", str(photo), str(photo), "--top-k", "0", "--address", gateway.address])
    assert capsys.readouterr().err == "sosie search: options.top_k: must be 1 to 100, got 0\n"
    assert len(gateway.requests) == 1


def test_no_gateway_is_one_line_that_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The address, where it came from, and how to change it."""
    with pytest.raises(SystemExit):
        main(["search", "--text", "boots", "--address", "127.0.0.1:1"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sosie search: no gateway answers at 127.0.0.1:1 ")
    assert line.endswith("the address comes from --address: start a gateway there, or name another with --address")


def test_a_call_that_takes_too_long_is_one_line(gateway: CannedGateway, capsys: pytest.CaptureFixture[str]) -> None:
    """--timeout holds for each question."""
    gateway.hold.clear()
    with pytest.raises(SystemExit):
        main(["search", "--text", "boots", "--timeout", "0.2", "--address", gateway.address])
    expected = f"sosie search: no answer from {gateway.address} within 0.2 s; --timeout allows more\n"
    assert capsys.readouterr().err == expected


def test_a_malformed_address_is_one_line() -> None:
    """A web address is the usual slip."""
    with pytest.raises(SystemExit, match=r"^sosie search: the address 'http://x:1' must be host:port without a scheme"):
        main(["search", "--text", "boots", "--address", "http://x:1"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "give a PHOTO, --text SENTENCE or --like"),
        ("a.jpg --like a/b", "give one kind"),
        ("--text a --crop 0,0,1,1", "--crop needs a PHOTO"),
        ("a.jpg --crop 0,0,1", "four numbers as in"),
        ("a.jpg --crop a,b,c,d", "four numbers as in"),
        ("a.jpg --html x.html --images here", "only together"),
        ("a.jpg --images here --catalog there", "are for --html FILE"),
        ("a.jpg --weight colour", "PART=NUMBER as in colour=3"),
        ("a.jpg --weight =3", "PART=NUMBER as in colour=3"),
        ("a.jpg --weight a=1 --weight a=2", "'a' is given twice"),
        ("a.jpg --attribute colour", "NAME=VALUE as in colour=red"),
        ("a.jpg --price 10EUR", "10..50EUR, ..50EUR or 10..EUR"),
        ("a.jpg --price ..EUR", "10..50EUR, ..50EUR or 10..EUR"),
        ("a.jpg --category Men//Tops", "levels between slashes"),
        ("--like shop", "must be SHOP/PRODUCT_ID"),
        ("a.jpg --timeout 0", "seconds above 0"),
        ("a.jpg --top-k many", "invalid int value"),
    ],
)
def test_wrong_usage_is_told(line: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and the right form beside the wrong one."""
    with pytest.raises(SystemExit) as caught:
        main(["search", *line.split()])
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("10..50EUR", PriceRange("EUR", Decimal(10), Decimal(50))),
        ("10.50 .. 50.99 eur", PriceRange("EUR", Decimal("10.50"), Decimal("50.99"))),
        ("..50USD", PriceRange("USD", None, Decimal(50))),
        ("10..JPY", PriceRange("JPY", Decimal(10), None)),
    ],
)
def test_prices_are_ranges_with_a_currency(text: str, price: PriceRange) -> None:
    """Either bound may be left out, never the currency."""
    assert arguments.parse_price(text) == price


def test_colours_are_for_terminals(
    gateway: CannedGateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets dim headers and lines that fit, unless NO_COLOR asks for plain text."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    line = ["search", "--text", "boots", "--address", gateway.address]
    assert main(line) == 0
    coloured = capsys.readouterr().out
    assert coloured.startswith("\x1b[2m")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(line) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert re.sub("\x1b\\[[0-9]m", "", coloured) == plain
