"""Reading files of the pictures folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sosie.engine.image import MAX_BYTES
from sosie.indexer.pictures import PictureError, PictureFolder, picture_digest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return tmp_path / "images"


def test_a_file_is_read(root: Path) -> None:
    """A path in the folder, through links that stay in it, gives the file's bytes."""
    (root / "a").mkdir()
    (root / "a/1.jpg").write_bytes(b"one")
    (root / "b.jpg").symlink_to(root / "a/1.jpg")
    folder = PictureFolder(root)
    assert folder.read("a/1.jpg") == folder.read("b.jpg") == b"one"
    assert folder.digest("b.jpg") == picture_digest(b"one")


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    """A pictures folder that is named through a link is read."""
    (root / "1.jpg").write_bytes(b"one")
    (tmp_path / "link").symlink_to(root)
    assert PictureFolder(tmp_path / "link").read("1.jpg") == b"one"


def loop_links(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (lambda path: None, "names no file"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "names no file"),
    "a link out of the folder": (lambda path: path.symlink_to("../secret.jpg"), "leads out"),
    "links in a circle": (loop_links, "cannot be read"),
    "a folder": (lambda path: path.mkdir(), "is not a file"),
    "a pipe": (os.mkfifo, "is not a file"),
    "too large a file": (lambda path: path.write_bytes(bytes(MAX_BYTES + 1)), "has more than 20,971,520 bytes"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_file_is_refused(name: str, root: Path) -> None:
    """What is not a file of the folder raises PictureError with its path, and never waits."""
    make, problem = UNUSABLE[name]
    make(root / "x.jpg")
    with pytest.raises(PictureError, match=problem) as caught:
        PictureFolder(root).read("x.jpg")
    assert "'x.jpg'" in str(caught.value)


@pytest.mark.parametrize("path", ["../secret.jpg", "a\0b", "n" * 5000])
def test_an_impossible_path_is_refused(path: str, root: Path) -> None:
    """A path that leads out, or that no file can have, raises PictureError."""
    with pytest.raises(PictureError):
        PictureFolder(root).read(path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """A pictures folder that is not there, or is a file, raises OSError."""
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        with pytest.raises(OSError, match=name):
            PictureFolder(tmp_path / name)
