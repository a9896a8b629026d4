"""`sosie classify` from the command line to what people and programs read."""

import json
from pathlib import Path

import pytest

from client.canned_gateway import CannedGateway
from sosie.client.cli import main
from sosie.v1 import visual_search_pb2 as contract

TABLE = """\
set          score  label
imagenet  1  0.700  running shoe
          2  0.300  sandal
decode 4 ms, search 8 ms
"""


def test_people_get_a_table(gateway: CannedGateway, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each set is named once, its labels below each other."""
    assert main(["classify", str(photo), "--address", gateway.address]) == 0
    assert capsys.readouterr().out == TABLE


def test_programs_get_one_object_a_photo(
    gateway: CannedGateway, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The documented object, a line for each photo."""
    assert main(["classify", str(photo), str(photo), "--json", "--address", gateway.address]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == second
    assert first["query"] == {"picture": str(photo), "like": None, "sentence": None}
    assert first["classifications"] == [
        {
            "label_set": "imagenet",
            "labels": [{"label": "running shoe", "score": 0.7}, {"label": "sandal", "score": 0.3}],
        }
    ]
    assert first["space"]["name"] == "mini-3f2a9c01b7d4"
    assert first["step_times"] == {"decode": 0.004, "search": 0.008}


def test_every_option_reaches_the_gateway(gateway: CannedGateway, photo: Path) -> None:
    """Each option lands in its field of the contract."""
    line = "--label-set imagenet --label-set brand --labels red,blue --labels material=suede,patent leather"
    words = [*line.split(" ")[:-2], "material=suede, patent leather"]
    options = ["--top-k", "2", "--crop", "0,0,0.5,1", "--timeout", "5", "--address", gateway.address]
    assert main(["classify", str(photo), *words, *options]) == 0
    assert gateway.requests == [
        contract.ClassifyRequest(
            image=contract.Image(data=photo.read_bytes(), crop=contract.Crop(right=0.5, bottom=1)),
            label_sets=[
                contract.LabelSet(served="imagenet"),
                contract.LabelSet(served="brand"),
                contract.LabelSet(free=contract.FreeLabels(labels=["red", "blue"])),
                contract.LabelSet(free=contract.FreeLabels(name="material", labels=["suede", "patent leather"])),
            ],
            top_k=2,
        )
    ]


def test_a_contact_sheet_shows_the_labels(gateway: CannedGateway, photo: Path, tmp_path: Path) -> None:
    """--html holds the photo's name and each label with its score."""
    sheet = tmp_path / "sheet.html"
    assert main(["classify", str(photo), "--html", str(sheet), "--address", gateway.address]) == 0
    page = sheet.read_text("utf-8")
    assert "<h2>shoe.jpg</h2>" in page
    assert "running shoe" in page
    assert "0.700" in page


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "the following arguments are required: PHOTO"),
        ("a.jpg --labels a,,b", "labels between commas"),
        ("a.jpg --labels =a,b", "labels between commas"),
        ("a.jpg --labels a --labels b", "at most one may be without a name"),
        ("a.jpg --labels n=a --labels n=b", "'n' is given twice"),
    ],
)
def test_wrong_usage_is_told(line: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and the right form beside the wrong one."""
    with pytest.raises(SystemExit) as caught:
        main(["classify", *line.split()])
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err
