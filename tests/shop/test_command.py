"""`sosie demo-shop` as people meet it."""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sosie.shop import command

DOCS = Path(__file__).parents[2] / "docs" / "demo-shop.md"
OPTIONS = ("--products", "--views", "--seed", "--size", "--workers", "--force")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sosie demo-shop")
    command.add_arguments(parser)
    return parser


def _run(*arguments: str | os.PathLike[str]) -> int:
    return command.run(_parser().parse_args([str(argument) for argument in arguments]))


def test_it_says_where_the_catalog_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line counts products and pictures and names the catalog."""
    status = _run(tmp_path / "shop", "--products", "2", "--views", "2", "--size", "64", "--workers", "1")
    out, err = capsys.readouterr()
    assert status == 0
    assert out.startswith("2 products, 4 pictures in ")
    assert out.strip().endswith(str(tmp_path / "shop" / "catalog.jsonl"))
    assert err == ""


@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_documented(option: str) -> None:
    """--help and the page in docs/ know every option."""
    assert option in _parser().format_help()
    assert f"`{option}" in DOCS.read_text(encoding="utf-8")


def test_help_has_no_option_more() -> None:
    """The list of options above is complete."""
    known = {o for action in _parser()._actions for o in action.option_strings if o.startswith("--")}
    assert known == {*OPTIONS, "--help"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--products", "0"),
        ("--products", "20001"),
        ("--views", "0"),
        ("--size", "63"),
        ("--size", "4096"),
        ("--workers", "0"),
    ],
)
def test_numbers_out_of_range(option: str, value: str, tmp_path: Path) -> None:
    """A number out of range is one line with the range, and nothing is written."""
    with pytest.raises(SystemExit) as caught:
        _run(tmp_path / "shop", option, value)
    message = str(caught.value)
    assert message.startswith("sosie demo-shop: ")
    assert f"got {int(value):d}" in message
    assert "\n" not in message
    assert not (tmp_path / "shop").exists()


def test_foreign_folder(tmp_path: Path) -> None:
    """A folder of other files is refused in one line that names --force."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match=r"^sosie demo-shop: .*--force$"):
        _run(tmp_path)


def test_file_in_the_way(tmp_path: Path) -> None:
    """OUT that is a file, or lies below one, is refused in one line."""
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for out in (taken, taken / "below"):
        with pytest.raises(SystemExit, match=r"^sosie demo-shop: [^\n]*taken[^\n]*$"):
            _run(out, "--products", "1", "--size", "64")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_disk_refuses(workers: str, tmp_path: Path) -> None:
    """When a file cannot be written whole, one line says which; no catalog and no half file is left."""
    script = (
        "import argparse, sys\nfrom sosie.shop import command\nparser = argparse.ArgumentParser()\n"
        "command.add_arguments(parser)\nsys.exit(command.run(parser.parse_args()))"
    )
    out = tmp_path / "shop"
    # A limit on the size of files stands for a full disk: the truth fits, a picture does not.
    done = subprocess.run(
        [sys.executable, "-c", script, out, "--products", "4", "--views", "1", "--size", "512", "--workers", workers],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"sosie demo-shop: cannot write {out}")
    assert done.stderr.count("\n") == 1
    assert not (out / "catalog.jsonl").exists()
    assert not list(out.rglob("*.part"))
