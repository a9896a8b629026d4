"""A run's events: one JSON object a line, for machines."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO


class Events:
    """Writes events to a file, to standard output for "-", or nowhere."""

    def __init__(self, place: str | None = None) -> None:
        self._place = place
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Raises OSError where the file cannot be written."""
        if self._place == "-":
            self._file = sys.stdout
        elif self._place is not None:
            self._file = Path(self._place).open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and self._place != "-":
            self._file.close()
        self._file = None

    def emit(self, event: str, **fields: Any) -> None:
        """Writes one line with `time`, `event` and the fields, which are of JSON's types. Raises OSError."""
        if self._file is not None:
            line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
