"""How the process's log is written: a JSON object a line, or a line for people, and never a flood."""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Literal, TextIO

_LOG = logging.getLogger(__name__)

Format = Literal["json", "text"]

LINES_A_SECOND = 10
"""Of one kind of line; further ones are counted instead."""

_WINDOW = 1.0  # seconds
_MAX_KINDS = 256  # beyond them all lines count as one kind until the second is over
_MAX_TEXT = 8192  # characters of a traceback or message


def start_logging(format: Format = "json", stream: TextIO | None = None, worker: int | None = None) -> None:
    """Sends all that the process logs to `stream`, standard error unless given, from level INFO on.

    Each line names the `worker` that wrote it, where there are several. Warnings and exceptions that nobody caught are
    logged too, so that every line is of the same kind.
    """
    handler = BoundedHandler(stream or sys.stderr)
    own = {} if worker is None else {"worker": worker}
    handler.setFormatter(JsonFormatter(own) if format == "json" else TextFormatter(own))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda caught: _LOG.critical(
        "a thread ended by an error that nobody caught",
        exc_info=caught.exc_value or True,
    )


def leaves_out(kind: object) -> bool:
    """Whether the process's log would leave out one more record of this `kind`; then it counts it as made."""
    return any(handler.leaves_out(kind) for handler in logging.getLogger().handlers if type(handler) is BoundedHandler)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        _LOG.critical("ended by an error that nobody caught", exc_info=error)


class JsonFormatter(logging.Formatter):
    """A JSON object a line: time (RFC 3339, UTC), level, logger, message, the process's `own` fields, the record's."""

    def __init__(self, own: Mapping[str, object] = MappingProxyType({})) -> None:
        super().__init__()
        self._own = own

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_MAX_TEXT],
            **self._own,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-_MAX_TEXT:]
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message and the fields that say most."""

    def __init__(self, own: Mapping[str, object] = MappingProxyType({})) -> None:
        super().__init__()
        self._own = own

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).astimezone()
        fields = {**self._own, **getattr(record, "fields", {})}
        for name in ("method", "code", "steps"):
            fields.pop(name, None)
        told = "".join(f" {name}={_quote(value)}" for name, value in fields.items())
        message = _quote(record.getMessage()[:_MAX_TEXT], blanks=True)
        line = f"{when:%H:%M:%S} {record.levelname:<8} {record.name}: {message}{told}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)[-_MAX_TEXT:]
        return line


def _quote(value: object, *, blanks: bool = False) -> str:
    """Text that stays on its line, whatever somebody sent."""
    text = str(value)
    plain = text.isprintable() and (blanks or (" " not in text and text))
    return text if plain else json.dumps(text, ensure_ascii=False)


class BoundedHandler(logging.StreamHandler[TextIO]):
    """Writes at most LINES_A_SECOND of one kind, then counts them and says how many were left out.

    A record's kind is what stands in its `kind`, else its logger, level and message before the arguments. What was left
    out is told with the first line after that second, of whatever kind, or when the log is closed.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._window = clock()
        self._counts: dict[object, int] = {}
        self._left_out: dict[object, logging.LogRecord] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if self._clock() - self._window >= _WINDOW:
            self._tell_left_out()
        kind: object = getattr(record, "kind", None) or (record.name, record.levelno, record.msg)
        if kind not in self._counts and len(self._counts) >= _MAX_KINDS:
            kind = None
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count <= LINES_A_SECOND:
            super().emit(record)
        else:
            self._left_out[kind] = record

    def leaves_out(self, kind: object) -> bool:
        """Whether one more line of this kind would be left out now; then it is counted, and need not be made."""
        self.acquire()
        try:
            count = self._counts.get(kind, 0)
            if count <= LINES_A_SECOND or self._clock() - self._window >= _WINDOW:
                return False
            self._counts[kind] = count + 1
            return True
        finally:
            self.release()

    def close(self) -> None:
        self._tell_left_out()
        super().close()

    def _tell_left_out(self) -> None:
        left_out, counts = self._left_out, self._counts
        self._window, self._left_out, self._counts = self._clock(), {}, {}
        for kind, record in left_out.items():
            last = logging.makeLogRecord({**record.__dict__, "exc_info": None})
            last.fields = {**getattr(record, "fields", {}), "left_out": counts[kind] - LINES_A_SECOND}
            super().emit(last)
