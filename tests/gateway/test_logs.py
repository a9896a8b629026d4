"""What the process writes to its log, and what it never does."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from sosie.engine.errors import BackendUnavailableError, InputError, NotIndexedError
from sosie.gateway.admission import OverloadedError
from sosie.gateway.correlation import MAX_REQUEST_ID, read_traceparent
from sosie.gateway.errors import find_rule
from sosie.gateway.logs import LINES_A_SECOND, BoundedHandler, JsonFormatter, TextFormatter
from sosie.gateway.telemetry import Telemetry
from sosie.v1 import visual_search_pb2 as pb

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Log:
    """What was logged since, read as the format says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._stream = io.StringIO()
        self.handler = BoundedHandler(self._stream, self.clock)
        self.handler.setFormatter(JsonFormatter())

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    logger = logging.getLogger("sosie")
    level = logger.level
    logger.addHandler(made.handler)
    logger.setLevel(logging.INFO)
    yield made
    logger.removeHandler(made.handler)
    logger.setLevel(level)


def finish(
    telemetry: Telemetry, error: Exception | None = None, metadata: tuple[tuple[str, str], ...] = (), caller: str = ""
) -> None:
    observation = telemetry.observe("SearchByText", metadata)
    with observation.steps.measure("tokenize"):
        pass
    observation.finish(find_rule(error).code if error else grpc.StatusCode.OK, error, caller)


def test_a_line_a_call(log: Log) -> None:
    """A call's line says when it was answered, how, in what time, and by which names it is found elsewhere."""
    metadata = (("x-request-id", "order 7"), ("traceparent", TRACEPARENT), ("user-agent", "shop"))
    finish(Telemetry(log_sample=1), metadata=metadata, caller="front")
    (line,) = log.lines
    assert line["time"].endswith("Z")
    assert 0 < line.pop("seconds") < 1
    assert set(line.pop("steps")) == {"tokenize"}
    assert line == {
        "time": line["time"],
        "level": "info",
        "logger": "sosie.gateway.request_log",
        "message": "SearchByText OK",
        "method": "SearchByText",
        "code": "OK",
        "request_id": "order 7",
        "trace_id": TRACE,
        "caller": "front",
    }


def test_sampling(log: Log) -> None:
    """Of calls that went well, or failed by their callers' own doing, only the sampled share is written."""
    own = (None, InputError("sentence", "is blank"), NotIndexedError("no such picture"))
    for error in own:
        finish(Telemetry(log_sample=0), error)
    assert log.lines == []
    for error in own:
        finish(Telemetry(log_sample=1), error)
    assert [line["code"] for line in log.lines] == ["OK", "INVALID_ARGUMENT", "NOT_FOUND"]
    assert {line["level"] for line in log.lines} == {"info"}


def test_errors_are_always_written(log: Log) -> None:
    """What an operator has to know of is written whatever is sampled, with its reason and the layer's own words."""
    finish(Telemetry(log_sample=0), BackendUnavailableError("model 'mini_image': 10.0.0.7:8001 refused"))
    finish(Telemetry(log_sample=0), OverloadedError(1.0))
    first, second = log.lines
    assert (first["level"], first["code"], first["reason"]) == ("warning", "UNAVAILABLE", "BACKEND_UNAVAILABLE")
    assert first["error"] == "model 'mini_image': 10.0.0.7:8001 refused"
    assert (second["code"], second["reason"]) == ("RESOURCE_EXHAUSTED", "OVERLOADED")


def test_an_error_that_nobody_expected(log: Log) -> None:
    """An error that is none of the gateway's own comes with its traceback, in the same line."""
    try:
        dict[str, int]()["missing"]
    except KeyError as error:
        finish(Telemetry(log_sample=0), error)
    (line,) = log.lines
    assert (line["level"], line["code"], line["reason"]) == ("error", "INTERNAL", "INTERNAL")
    assert line["exception"].startswith("Traceback")
    assert "KeyError" in line["exception"]


def test_what_callers_send_is_not_written(log: Log) -> None:
    """Of a caller's mistake the field is named, never what stood in it."""
    telemetry = Telemetry(log_sample=1)
    finish(telemetry, InputError("options.weights['secret']", "must be 0 to 100, got secret"))
    finish(telemetry, NotIndexedError("shop 'secret' product 'secret' is not in the index"))
    assert "secret" not in log.text
    assert log.lines[0]["field"] == "options.weights"


async def test_questions_are_not_written(log: Log, stub: Any) -> None:
    """Neither a sentence nor a picture's bytes come to the log, not even where the call fails."""
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.SearchByText(pb.SearchByTextRequest(sentence="secret" * 1000))
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Classify(pb.ClassifyRequest(image=pb.Image(data=b"secret" * 100)))
    await stub.SearchByText(pb.SearchByTextRequest(sentence="secret"), metadata=(("authorization", "Bearer secret"),))
    assert "secret" not in log.text


def test_a_flood_is_bounded(log: Log) -> None:
    """Of one kind only so many lines a second are written; the rest is counted with the next line of any kind."""
    telemetry = Telemetry()
    for _ in range(LINES_A_SECOND + 990):
        finish(telemetry, OverloadedError(1.0))
    finish(telemetry, BackendUnavailableError("away"))
    assert [line["reason"] for line in log.lines] == ["OVERLOADED"] * LINES_A_SECOND + ["BACKEND_UNAVAILABLE"]
    log.clock.now = 1.5
    finish(telemetry, BackendUnavailableError("away"))
    told, last = log.lines[-2:]
    assert (told["reason"], told["left_out"]) == ("OVERLOADED", 990)
    assert (last["reason"], "left_out" in last) == ("BACKEND_UNAVAILABLE", False)


def test_a_flood_is_counted_at_the_end(log: Log) -> None:
    """What was left out when the log is closed is told before it is."""
    for _ in range(LINES_A_SECOND + 5):
        logging.getLogger("sosie.test").info("line %d", 1)
    log.handler.close()
    assert log.lines[-1]["left_out"] == 5


def test_kinds_are_bounded(log: Log) -> None:
    """Lines that all differ are bounded too: what is kept of them does not grow without end."""
    for number in range(2000):
        logging.getLogger("sosie.test").info(f"line {number}")  # noqa: G004 - as a library might
    assert len(log.lines) < 300


def test_text_stays_on_its_line() -> None:
    """In the form for people too, what a caller sends cannot begin a line of its own."""
    record = logging.makeLogRecord(
        {
            "name": "sosie.gateway",
            "levelname": "INFO",
            "msg": "SearchByText\nOK",
            "fields": {"method": "SearchByText", "request_id": "a\r\nb", "caller": "front shop"},
        }
    )
    line = TextFormatter({"worker": 1}).format(record)
    assert len(line.splitlines()) == 1
    assert " worker=1" in line
    assert 'caller="front shop"' in line


@pytest.mark.parametrize("given", ["", "x" * (MAX_REQUEST_ID + 1), "é", "a\tb"])
def test_request_ids_that_are_replaced(given: str) -> None:
    """A request id that is missing, too long or not printable ASCII is replaced by one of the gateway's."""
    telemetry = Telemetry()
    observed = [telemetry.observe("Classify", [("x-request-id", given)]) for _ in range(3)]
    made = {observation.request_id for observation in observed}
    assert len(made) == 3
    assert given not in made
    assert made == {observation.request_id for observation in observed}


@pytest.mark.parametrize("given", ["x" * MAX_REQUEST_ID, "7f3a", "order 7"])
def test_request_ids_that_are_kept(given: str) -> None:
    """A caller's own request id is kept as it is."""
    assert Telemetry().observe("Classify", [("other", "no"), ("x-request-id", given)]).request_id == given


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        (TRACEPARENT, TRACE),
        (TRACEPARENT.replace("00-", "cc-", 1) + "-more", TRACE),  # a later version may say more
        (TRACEPARENT + "-more", None),
        (TRACEPARENT.replace("00-", "ff-", 1), None),
        (TRACEPARENT.upper(), None),
        (TRACEPARENT.replace(TRACE, "0" * 32), None),
        (TRACEPARENT.replace("b7ad6b7169203331", "0" * 16), None),
        ("00-1-2-3", None),
        ("", None),
    ],
)
def test_traceparent(header: str, trace_id: str | None) -> None:
    """A trace is joined where its header is one of W3C Trace Context."""
    parent = read_traceparent(header)
    assert (parent.trace_id if parent else None) == trace_id


def test_tracestate() -> None:
    """A tracestate goes along with its traceparent, unless it is too long or not printable."""
    for state, kept in (("shop=1", "shop=1"), ("x" * 513, ""), ("é=1", "")):
        parent = read_traceparent(TRACEPARENT, state)
        assert parent is not None
        assert parent.metadata == (("traceparent", TRACEPARENT), *([("tracestate", kept)] if kept else []))


PROCESS = """
import logging, threading, warnings
from sosie.gateway.logs import start_logging
start_logging("json", worker=2)
logging.getLogger("anybody").info("one %s", "line")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("unexpected")
"""


def test_all_lines_of_a_process_are_json() -> None:
    """Others' lines, warnings and errors that nobody caught, of threads too, are JSON as all the rest."""
    done = subprocess.run([sys.executable, "-c", PROCESS], check=False, capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in lines] == ["anybody", "py.warnings", *["sosie.gateway.logs"] * 2]
    assert {line["worker"] for line in lines} == {2}
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "ValueError: unexpected" in lines[3]["exception"]
    assert done.returncode == 1
