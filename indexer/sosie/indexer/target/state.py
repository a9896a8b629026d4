"""The folder of one target: what is to survive a run that dies."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sosie.indexer.target.lock import TargetLock

_LAST = "last.json"


class TargetState:
    """What is known of a target between runs. Only the run that holds `lock` uses it.

    Other parts keep files of their own in `folder`.
    """

    def __init__(self, folder: Path, lock: TargetLock) -> None:
        self.folder = folder
        self.lock = lock

    @property
    def last_success(self) -> float | None:
        """When the target was last indexed to the end, in seconds since 1970."""
        return _read_seconds(self.read(_LAST))

    @last_success.setter
    def last_success(self, seconds: float) -> None:
        self.write(_LAST, {"succeeded": seconds})

    def read(self, name: str) -> dict[str, Any]:
        """A JSON object of the folder; empty where there is none, or none that can be read."""
        return _read_object(self.folder / name)

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Puts a JSON object in the folder, wholly or not at all, and on the disk when this returns."""
        write_atomically(self.folder / name, json.dumps(content, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def open_state(folder: Path, store: str, collection: str) -> Iterator[TargetState]:
    """The state of a target below `folder`, and its lock.

    Raises LockedError where another run has the target, and OSError where the folder cannot be used.
    """
    own = folder / name_target(store, collection)
    own.mkdir(parents=True, exist_ok=True)
    with TargetLock(own / "lock") as lock:
        yield TargetState(own, lock)


def read_last_success(folder: Path, store: str, collection: str) -> float | None:
    """TargetState.last_success of a target whose state is not open: None too where it cannot be read."""
    with contextlib.suppress(OSError):
        return _read_seconds(_read_object(folder / name_target(store, collection) / _LAST))
    return None


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_seconds(last: dict[str, Any]) -> float | None:
    seconds = last.get("succeeded")
    return float(seconds) if isinstance(seconds, (int, float)) else None


def name_target(store: str, collection: str) -> str:
    """A folder's name for a collection in a store, the same from wherever a path is named."""
    place = store if re.match(r"https?://", store) else str(Path(store).resolve())
    return f"{collection}-{hashlib.blake2b(place.encode(), digest_size=6).hexdigest()}"


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that whoever reads it finds the old text or the new one. Raises OSError."""
    making = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with making.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)
