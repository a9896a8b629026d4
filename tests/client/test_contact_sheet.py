"""The contact sheet: what it shows, and that it stands alone whatever catalogs hold."""

import base64
import io
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from client.canned_gateway import CannedGateway
from sosie.client import IndexedPicture
from sosie.client.cli import main
from sosie.client.local_pictures import find_pictures
from sosie.client.thumbnails import data_uri

VOID = {"meta", "img", "link", "br", "input"}


class Page(HTMLParser):
    """A page's elements: each tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data

    def values(self, tag: str, attribute: str) -> list[str]:
        """An attribute of each element with that tag."""
        return [attributes.get(attribute) or "" for name, attributes in self.elements if name == tag]


@pytest.fixture
def jpeg() -> bytes:
    """A photo of 1000 x 500 pixels."""
    out = io.BytesIO()
    Image.new("RGB", (1000, 500), "red").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def shop(tmp_path: Path, jpeg: bytes) -> Path:
    """A folder with a catalog of one good product among lines that are none."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "front.jpg").write_bytes(jpeg)
    (tmp_path / "secret.jpg").write_bytes(jpeg)
    lines = [
        "not json",
        json.dumps([1]),
        json.dumps({"shop": "brno", "product_id": "other", "pictures": [{"id": "1", "path": "front.jpg"}]}),
        json.dumps(
            {
                "shop": "brno",
                "productId": "B/1",
                "pictures": [
                    {"id": "front", "path": "front.jpg"},
                    {"id": "back", "path": "../secret.jpg"},
                    {"id": "gone", "path": "gone.jpg"},
                    {"id": "absolute", "path": str(tmp_path / "secret.jpg")},
                    {"id": 5, "path": "front.jpg"},
                    "front.jpg",
                ],
            }
        ),
        json.dumps({"shop": "brno", "product_id": "X", "pictures": None}),
        "",
    ]
    (tmp_path / "catalog.jsonl").write_text("\n".join(lines))
    return tmp_path


def write_sheet(gateway: CannedGateway, folder: Path, *options: str) -> Page:
    """The page that `sosie search` writes."""
    sheet = folder / "sheet.html"
    assert main(["search", "--address", gateway.address, "--html", str(sheet), *options]) == 0
    return Page(sheet.read_text("utf-8"))


def test_a_sheet_shows_question_and_hits(
    gateway: CannedGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sentence, options, times, and each hit with what the shop says of it."""
    page = write_sheet(gateway, tmp_path, "--text", "boots", "--weight", "colour=3", "--price", "..100EUR", "--explain")
    for words in ("“boots”", "colour 3", "0 to 100 EUR", "4.0 ms", "8.0 ms", "Ådal · brno", "89.90 EUR", "0.930"):
        assert words in page.words
    for words in ("look", "+0.850", "cos 0.90", "-0.050"):
        assert words in page.words
    assert "https://brno.example/b1" in page.values("a", "href")
    assert page.open == []
    assert capsys.readouterr().err == f"contact sheet: {tmp_path / 'sheet.html'}\n"


def test_what_strangers_wrote_stays_text(gateway: CannedGateway, tmp_path: Path) -> None:
    """Tags in titles, brands and sentences are shown, not run; links lead to the web only."""
    page = write_sheet(gateway, tmp_path, "--text", "</blockquote><script>alert(2)</script>")
    assert "<script>alert(1)</script>" in page.words
    assert "<script>alert(2)</script>" in page.words
    assert '"><img src=x>' in page.words
    assert page.values("a", "href") == ["https://brno.example/b1"]
    assert page.values("img", "src") == ["https://brno.example/b1-front.jpg"]


def test_a_sheet_stands_alone(gateway: CannedGateway, tmp_path: Path) -> None:
    """No scripts, frames or outside files, and a policy that forbids them; only pictures may come from the web."""
    page = write_sheet(gateway, tmp_path, "--text", "boots")
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "default-src 'none'; img-src data: http: https:; style-src 'unsafe-inline'" in page.values("meta", "content")
    assert "url(" not in (tmp_path / "sheet.html").read_text("utf-8")


def test_local_pictures_are_embedded(gateway: CannedGateway, shop: Path) -> None:
    """The catalog leads from a hit to its file; a picture outside the folder is not taken."""
    options = ["--catalog", str(shop / "catalog.jsonl"), "--images", str(shop / "images")]
    page = write_sheet(gateway, shop, "--like", "brno/B%2F1", *options)
    query, front = page.values("img", "src")
    assert query == front
    assert front.startswith("data:image/webp;base64,")


def test_a_photo_is_shown_with_its_crop(gateway: CannedGateway, tmp_path: Path, jpeg: bytes) -> None:
    """The question's picture is on the page, the box that counted drawn over it."""
    photo = tmp_path / "shoe.jpg"
    photo.write_bytes(jpeg)
    page = write_sheet(gateway, tmp_path, str(photo), "--crop", "0.25,0,1,0.5")
    assert page.values("img", "src")[0].startswith("data:image/webp;base64,")
    assert "left:25.00%;top:0.00%;width:75.00%;height:50.00%" in page.values("i", "style")
    assert "shoe.jpg" in page.words
    assert str(tmp_path) not in page.words


def test_nothing_that_fits_is_said(gateway: CannedGateway, tmp_path: Path) -> None:
    """An empty answer has its page too."""
    gateway.hits = []
    assert "Nothing fits." in write_sheet(gateway, tmp_path, "--text", "unicorns").words


def test_a_sheet_that_cannot_be_written_is_one_line(gateway: CannedGateway, tmp_path: Path) -> None:
    """The option and the file are named."""
    sheet = tmp_path / "none" / "sheet.html"
    with pytest.raises(SystemExit, match=rf"^sosie search: --html {sheet}: No such file or directory$"):
        main(["search", "--text", "boots", "--address", gateway.address, "--html", str(sheet)])


def test_a_catalog_that_cannot_be_read_is_one_line(gateway: CannedGateway, tmp_path: Path) -> None:
    """So is a wrong path beside --catalog."""
    catalog = tmp_path / "none.jsonl"
    options = ["--html", str(tmp_path / "a.html"), "--catalog", str(catalog), "--images", str(tmp_path)]
    with pytest.raises(SystemExit, match=rf"^sosie search: --catalog {catalog}: No such file or directory$"):
        main(["search", "--text", "boots", "--address", gateway.address, *options])


def test_only_pictures_inside_the_folder_are_found(shop: Path) -> None:
    """Paths that lead out, absolute ones and entries that are none are passed over."""
    found = find_pictures(shop / "catalog.jsonl", shop / "images", {("brno", "B/1"), ("brno", "X")})
    front = shop / "images" / "front.jpg"
    assert found.find(IndexedPicture("brno", "B/1", "front")) == front
    assert found.find(IndexedPicture("brno", "B/1")) == front
    for picture_id in ("back", "absolute", "never"):
        assert found.find(IndexedPicture("brno", "B/1", picture_id)) is None
    assert found.find(IndexedPicture("brno", "X")) is None
    assert found.find(IndexedPicture("brno", "other")) is None


def test_thumbnails_are_small_and_upright(jpeg: bytes) -> None:
    """A picture is scaled to the longer side and turned as its EXIF says."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.open(io.BytesIO(jpeg)).save(out, "JPEG", exif=exif)
    uri = data_uri(out.getvalue(), side=100)
    assert uri is not None
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as thumbnail:
        assert thumbnail.size == (50, 100)


def test_without_pillow_the_picture_itself_is_embedded(jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has no Pillow: the page is larger, not poorer."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert data_uri(jpeg, side=100) == f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg onload=alert(1)>"])
def test_what_is_no_photo_is_not_embedded(data: bytes) -> None:
    """Only JPEG, PNG and WebP get into a page."""
    assert data_uri(data, side=100) is None


def test_a_damaged_picture_is_left_to_the_browser() -> None:
    """What Pillow cannot decode goes in as it is."""
    damaged = b"\xff\xd8\xff damaged"
    assert data_uri(damaged, side=100) == f"data:image/jpeg;base64,{base64.b64encode(damaged).decode()}"
