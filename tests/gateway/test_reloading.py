"""A settings file that changes while the gateway runs."""

import logging
import os
from pathlib import Path

import pytest

from sosie.gateway import reloading
from sosie.gateway.reloading import ReloadedFile


@pytest.fixture(autouse=True)
def look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "_PAUSE", 0.0)


def test_a_change_is_read(tmp_path: Path) -> None:
    """A file that was written anew, or replaced by another, is read again."""
    path = tmp_path / "number"
    path.write_text("1")
    number = ReloadedFile(path, int)
    assert number.value == 1
    path.write_text("22")
    assert number.value == 22
    other = tmp_path / "other"
    other.write_text("33")
    other.replace(path)
    assert number.value == 33


def test_a_wrong_change_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a wrong or missing file said before holds, the log says why once, and the next right one is taken."""
    path = tmp_path / "number"
    path.write_text("1")
    number = ReloadedFile(path, int)
    path.write_text("one")
    with caplog.at_level(logging.ERROR):
        assert [number.value, number.value] == [1, 1]
    assert len(caplog.records) == 1
    path.unlink()
    assert number.value == 1
    path.write_text("4")
    assert number.value == 4


def test_a_file_that_is_not_read_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a second the file is looked at once, however often its value is asked for."""
    monkeypatch.setattr(reloading, "_PAUSE", 60.0)
    path = tmp_path / "number"
    path.write_text("1")
    number = ReloadedFile(path, int)
    path.write_text("2")
    os.utime(path, ns=(0, 0))
    assert number.value == 1


def test_a_wrong_file_at_the_start(tmp_path: Path) -> None:
    """At the start there is nothing to fall back on: what is wrong is raised."""
    path = tmp_path / "number"
    path.write_text("one")
    with pytest.raises(ValueError, match="invalid literal"):
        ReloadedFile(path, int)
    with pytest.raises(FileNotFoundError):
        ReloadedFile(tmp_path / "absent", int)
