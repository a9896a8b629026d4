"""The state folder of one local stack: its lock, its addresses, its logs."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sosie.local.errors import LocalError
from sosie.local.locks import FileLock


class StateFolder:
    """`local.lock` and `local.json` are there while a stack runs; logs and the store stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FileLock(path / "local.lock")
        self.file = path / "local.json"

    def claim(self) -> None:
        """Takes the folder for this process. Raises LocalError where another one has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            taken = not self.lock.acquire()
        except OSError as error:
            raise LocalError(f"cannot use the state folder {self.path}: {error.strerror}; name another") from error
        if taken:
            raise LocalError(
                f"the process {self.lock.holder()} already runs in {self.path}: "
                f"stop it with `sosie local down --state {self.path}`, or name another --state"
            )
        self.file.unlink(missing_ok=True)  # of a run that was killed

    def publish(self, addresses: Mapping[str, Any]) -> None:
        """Writes the addresses so that a reader sees all of them or none."""
        partial = self.file.with_suffix(".json.partial")
        partial.write_text(json.dumps({**addresses, "pid": os.getpid()}, indent=2) + "\n")
        partial.rename(self.file)

    def read(self) -> dict[str, Any] | None:
        """The addresses of the running stack, None where none is up."""
        try:
            addresses: dict[str, Any] = json.loads(self.file.read_text())
        except (OSError, ValueError):
            return None
        return addresses

    def release(self) -> None:
        """Removes the addresses and gives the folder back."""
        self.file.unlink(missing_ok=True)
        self.lock.release()
