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

_REBUILD = "rebuild.json"
_LAST = "last.json"


class TargetState:
    """What is known of a target between runs. Only the run that holds `lock` uses it.

    Other parts keep files of their own in `folder`.
    """

    def __init__(self, folder: Path, lock: TargetLock) -> None:
        self.folder = folder
        self.lock = lock

    @property
    def rebuild(self) -> str | None:
        """The collection that a rebuild is filling, or was when it died: None where there is none."""
        return self.read(_REBUILD).get("collection")

    @rebuild.setter
    def rebuild(self, collection: str | None) -> None:
        """To be set before the collection is made, so that it is never one that nobody knows of."""
        if collection is None:
            (self.folder / _REBUILD).unlink(missing_ok=True)
        else:
            self.write(_REBUILD, {"collection": collection})

    @property
    def last_success(self) -> float | None:
        """When the target was last indexed to the end, in seconds since 1970."""
        return self.read(_LAST).get("succeeded")

    @last_success.setter
    def last_success(self, seconds: float) -> None:
        self.write(_LAST, {"succeeded": seconds})

    def read(self, name: str) -> dict[str, Any]:
        """A JSON object of the folder; empty where there is none, or none that can be read."""
        try:
            found = json.loads((self.folder / name).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

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
