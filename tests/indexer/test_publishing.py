"""What a run tells machines: its events, its summary, its metrics, and how it ended."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from documented import ROOT, read_table
from sosie.indexer.reporting import exit_status, publishing
from sosie.indexer.reporting.events import Events
from sosie.indexer.reporting.metrics import METRICS, PREFIX
from sosie.indexer.reporting.options import ReportingOptions
from sosie.indexer.reporting.publishing import publish
from sosie.indexer.running import Outcome

PAGE = ROOT / "docs" / "indexing.md"

BOOKS: dict[str, Any] = {
    "products": 3,
    "pictures": 6,
    "indexed": 2,
    "shared": 1,
    "rewritten": 1,
    "unchanged": 3,
    "resumed": 0,
    "rejected": {"lines": 1, "pictures": 0, "by_field": {}, "file": None},
    "pruned": {"rows": 4, "shops": []},
    "encoders": {"servers": {}, "paused_seconds": 1.5},
    "index_pending": False,
    "retries": 0,
    "seconds": 2.5,
    "pictures_per_second": 2.4,
    "time_share": {"check": 0.25, "encode": 0.75},
    "last_success": 1700000000.0,
}


class Gateway(BaseHTTPRequestHandler):
    """Takes what is pushed, or refuses it."""

    taken: list[tuple[str, str, str]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.taken.append((self.command, self.path, body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[tuple[str, type[Gateway]]]:
    """The address of a pushgateway on loopback, and what it does."""
    handler = type("Handler", (Gateway,), {"taken": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def read_metrics(text: str) -> dict[str, float]:
    """By name and label: value; the label `collection` is left out."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels["collection"] == "sosie"
            others = [value for name, value in sample.labels.items() if name != "collection"]
            found[" ".join([sample.name.removeprefix(PREFIX), *others])] = sample.value
    return found


def test_metrics_tell_the_report(tmp_path: Path) -> None:
    """A textfile holds each number of the report as a gauge, by collection."""
    report = Outcome(BOOKS).complete()
    assert publish(ReportingOptions(textfile=tmp_path / "sosie.prom"), report, "sosie") == []
    text = (tmp_path / "sosie.prom").read_text()
    assert text.count("# TYPE ") == text.count(" gauge\n") == len(METRICS)
    told = read_metrics(text)
    assert told.pop("last_run_timestamp_seconds") == report["ended"]
    assert told == {
        "last_success_timestamp_seconds": 1700000000,
        "success": 1,
        "exit_status": 0,
        "duration_seconds": 2.5,
        "products": 3,
        "pictures": 6,
        "indexed_pictures": 2,
        "shared_pictures": 1,
        "rewritten_pictures": 1,
        "unchanged_pictures": 3,
        "resumed_pictures": 0,
        "rejected lines": 1,
        "rejected pictures": 0,
        "pruned_rows": 4,
        "retries": 0,
        "paused_seconds": 1.5,
        "index_pending": 0,
        "pictures_per_second": 2.4,
        "time_share check": 0.25,
        "time_share encode": 0.75,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["sosie.prom"]


def test_a_run_that_could_not_begin_tells_little(tmp_path: Path) -> None:
    """Without numbers of pictures there are none in the metrics: what a pushgateway has of earlier runs stays."""
    outcome = Outcome({"outcome": "failed", "last_success": None}, error="Triton is away", begun=False)
    publish(ReportingOptions(textfile=tmp_path / "sosie.prom"), outcome.complete(), "sosie")
    told = read_metrics((tmp_path / "sosie.prom").read_text())
    assert set(told) == {"last_run_timestamp_seconds", "success", "exit_status"}
    assert (told["success"], told["exit_status"]) == (0, 1)


def test_a_pushgateway_is_given_the_metrics(gateway: tuple[str, type[Gateway]]) -> None:
    """A pushgateway gets the metrics in the group of the job and the collection, added to what it has."""
    address, handler = gateway
    assert publish(ReportingOptions(pushgateway=address), Outcome(BOOKS).complete(), "sosie") == []
    ((method, path, body),) = handler.taken
    assert (method, path) == ("POST", "/metrics/job/sosie_index/collection/sosie")
    assert read_metrics(body)["indexed_pictures"] == 2


def test_a_slow_pushgateway_is_left(gateway: tuple[str, type[Gateway]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A pushgateway that does not answer within the limit costs a warning."""
    address, handler = gateway
    answered = threading.Event()
    monkeypatch.setattr(publishing, "TIMEOUT", 0.05)
    monkeypatch.setattr(handler, "do_POST", lambda self: answered.wait(10))
    (problem,) = publish(ReportingOptions(pushgateway=address), BOOKS, "sosie")
    answered.set()
    assert problem == f"--pushgateway {address}: timed out"


def test_what_cannot_be_told_is_a_line_each(gateway: tuple[str, type[Gateway]], tmp_path: Path) -> None:
    """A folder that is not there, a gateway that refuses: each gives a line, and the others are served."""
    address, handler = gateway
    handler.status = 400
    options = ReportingOptions(
        summary=tmp_path / "summary.json", textfile=tmp_path / "no" / "sosie.prom", pushgateway=address
    )
    problems = publish(options, BOOKS, "sosie")
    assert [problem.split(": ")[0] for problem in problems] == ["--metrics-textfile", f"--pushgateway {address}"]
    assert "No such file or directory" in problems[0]
    assert "400" in problems[1]
    assert json.loads((tmp_path / "summary.json").read_text()) == BOOKS


@pytest.mark.parametrize("address", ["http://[", "http://127.0.0.1:1", "nowhere:x"])
def test_a_pushgateway_that_is_none(address: str) -> None:
    """An address that leads nowhere is a line, not a traceback."""
    (problem,) = publish(ReportingOptions(pushgateway=address), BOOKS, "sosie")
    assert problem.startswith(f"--pushgateway {address}: ")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome({}), 0),
        (Outcome({}, too_many_rejects=True), 3),
        (Outcome({}, error="Milvus is away", too_many_rejects=True), 1),
        (Outcome({}, error="10 of 20 pictures would go", refused=True), 4),
        (Outcome({}, error="another run has this target", locked=True, begun=False), 5),
        (Outcome({}, error="Milvus is away", stopped_by=15), 143),
    ],
)
def test_each_end_has_its_status(outcome: Outcome, status: int) -> None:
    """A signal counts before a fault, a fault before rejects; only a run without any of them is a success."""
    assert outcome.exit_status == status
    assert outcome.complete()["success"] is (status == 0)


def test_events_are_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Events are appended to the file, or printed, one JSON object a line with its time; nothing is a place too."""
    path = tmp_path / "events.jsonl"
    for place in (str(path), str(path), "-", None):
        with Events(place) as events:
            events.emit("started", catalog="é.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["catalog"]) for line in lines] == [("started", "é.jsonl")] * 2
    assert lines[0]["time"].endswith("+00:00")
    assert json.loads(capsys.readouterr().out)["event"] == "started"


def test_the_page_lists_the_metrics() -> None:
    """The page's table has every metric with its label, and no other."""
    table = {name: label for name, label, _ in read_table(PAGE, "| metric | label | |")}
    assert table == {PREFIX + metric.name: metric.label for metric in METRICS}


def test_the_page_lists_the_exit_statuses() -> None:
    """The page's table has every exit status that the command knows."""
    known = [value for name, value in vars(exit_status).items() if name.isupper() and name != "STOPPED"]
    table = [status for status, _ in read_table(PAGE, "| exit status | means |")]
    assert table == [*map(str, sorted([*known, 2])), "130, 143"]
