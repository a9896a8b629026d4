"""The command line: exit statuses, what is printed where, and the one line that a mistake gets."""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeStore
from indexer_fixtures import SmallShop, WordTokenizer, make_shop
from sosie.engine.errors import BackendUnavailableError
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import Row
from sosie.indexer import command, job, opening, session
from sosie.indexer.encoding import servers
from sosie.indexer.opening import Backends, SetupError, choose_encoder
from sosie.indexer.reporting import exit_status
from sosie.indexer.target.state import open_state

BACKENDS = Backends("127.0.0.1:1", "http://127.0.0.1:2", "sosie")


class Models:
    """TritonModels with doubles of encoders."""

    encoders: Mapping[str, FakeEncoder] = {FAKE_SPACE.name: FakeEncoder()}

    @classmethod
    async def connect(cls, address: str, *, timeout: float) -> "Models":
        if address == "127.0.0.1:9":
            raise BackendUnavailableError("Triton: connection refused")
        return cls()

    async def close(self) -> None:
        pass


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture(autouse=True)
def doubles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: FakeStore) -> None:
    """Doubles of Triton, Milvus and the tokenizer, in an empty folder with an empty environment."""
    monkeypatch.setattr(servers, "TritonModels", Models)
    monkeypatch.setattr(opening, "MilvusStore", lambda uri, collection: store)
    monkeypatch.setattr(session, "_open_tokenizer", lambda settings, encoder: WordTokenizer())
    monkeypatch.chdir(tmp_path)
    for name in ("STORE", "TRITON", "MODELS", "COLLECTION", "SPACE", "STATE"):
        monkeypatch.delenv(f"SOSIE_{name}", raising=False)


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    return make_shop(tmp_path / "shop", 10, views=2)


def parse(*arguments: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sosie index")
    command.add_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def run(shop: SmallShop, *arguments: str | Path) -> int:
    return command.run(parse(shop.catalog, "--images", shop.images, "--store", "x.db", *arguments))


def test_a_run_prints_its_summary(shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """A run without rejects exits 0, prints its counts on stdout and no warning."""
    assert run(shop) == 0
    out, err = capsys.readouterr()
    assert out.startswith("20 pictures of 10 products, collection sosie, space fake-000000000001\n")
    assert re.search(r"^  indexed +20$", out, re.MULTILINE)
    assert "pictures/s" in out
    assert err == ""
    assert len(store.rows) == 20


def test_json_is_alone_on_stdout(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, stdout is one JSON object."""
    assert run(shop, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["outcome"], summary["indexed"], summary["rejected"]["file"]) == ("done", 20, None)


def break_pictures(shop: SmallShop, count: int) -> None:
    for number in range(count):
        (shop.images / f"{number}/0.jpg").unlink()


@pytest.mark.parametrize(
    ("limit", "broken", "status"),
    [
        ([], 1, 0),
        ([], 2, 3),
        (["--max-rejects", "2"], 2, 0),
        (["--max-rejects", "1"], 2, 3),
        (["--max-rejects", "0"], 1, 3),
    ],
)
def test_rejects_decide_the_exit_status(
    limit: list[str], broken: int, status: int, shop: SmallShop, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to --max-rejects, 5% unless given, is a warning and exit status 0; more is exit status 3. All are listed."""
    break_pictures(shop, broken)
    assert run(shop, *limit) == status
    out, err = capsys.readouterr()
    assert f"{broken} of 20 rejected, listed in {shop.rejects}" in err
    assert err.startswith("sosie index: warning:") is (status == 0)
    assert f"{broken} x pictures[].path, first in line 1" in out
    assert len(shop.read_rejects()) == broken


def test_rejects_go_where_they_are_wanted(shop: SmallShop, tmp_path: Path) -> None:
    """--rejects names the file."""
    break_pictures(shop, 1)
    assert run(shop, "--rejects", tmp_path / "mine.jsonl") == 0
    assert (tmp_path / "mine.jsonl").exists()
    assert not shop.rejects.exists()


def test_an_empty_catalog_is_a_warning(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """A catalog without products exits 0 and says so."""
    shop.catalog.write_text("")
    assert run(shop) == 0
    assert "holds no product" in capsys.readouterr().err


async def _lose(*arguments: Any, **options: Any) -> None:
    raise BackendUnavailableError("Milvus is away")


def test_a_run_that_fails_prints_what_it_did(
    shop: SmallShop, store: FakeStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that loses Milvus for good exits 1 with the summary so far and one line that says why."""
    monkeypatch.setattr(store, "upsert", _lose)
    monkeypatch.setattr("sosie.indexer.retries.Backoff.pause", lambda self, attempt: 0.001)
    assert run(shop, "--json") == 1
    out, err = capsys.readouterr()
    assert (json.loads(out)["outcome"], json.loads(out)["error"]) == ("failed", "Milvus is away")
    assert err == "sosie index: Milvus is away\n"


MISTAKES: dict[str, tuple[Callable[[SmallShop], list[Any]], str]] = {
    "no catalog": (lambda s: [s.folder / "no.jsonl", "--images", s.images], "no.jsonl: No such file"),
    "a folder without a catalog": (lambda s: [s.images, "--images", s.images], "names no catalog: *.jsonl"),
    "no images": (lambda s: [s.catalog, "--images", s.folder / "no"], "no: No such file"),
    "a file as images": (lambda s: [s.catalog, "--images", s.catalog], "is not a folder"),
    "no rejects folder": (
        lambda s: [s.catalog, "--images", s.images, "--rejects", "no/r"],
        "no folder for the rejects",
    ),
    "the catalog as rejects": (lambda s: [s.catalog, "--images", s.images, "--rejects", s.catalog], "is a file of the"),
    "no Triton": (lambda s: [s.catalog, "--images", s.images, "--triton", "127.0.0.1:9"], "Triton at 127.0.0.1:9"),
    "another space": (lambda s: [s.catalog, "--images", s.images, "--space", "clip"], "'clip'; it serves: fake-0"),
    "an odd collection": (lambda s: [s.catalog, "--images", s.images, "--collection", "a b"], "got 'a b'"),
    "an odd store": (lambda s: [s.catalog, "--images", s.images, "--store", "milvus"], "neither a path ending in .db"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_line(name: str, shop: SmallShop) -> None:
    """What cannot work ends with one line that begins with the command's name."""
    arguments, problem = MISTAKES[name]
    with pytest.raises(SystemExit) as ended:
        command.run(parse("--store", "x.db", *arguments(shop)))
    line = str(ended.value.code)
    assert line.startswith("sosie index: ")
    assert problem in line
    assert "\n" not in line


def test_the_store_must_be_named(shop: SmallShop) -> None:
    """Without option, environment and local set-up there is no index to write to."""
    with pytest.raises(SystemExit, match="give --store URI or set SOSIE_STORE"):
        command.run(parse(shop.catalog, "--images", shop.images))


@pytest.mark.parametrize(
    "arguments",
    [["--batch", "0"], ["--in-flight", "x"], ["--timeout", "0"], ["--timeout", "nan"], ["--max-rejects", "few"]],
)
def test_wrong_usage_is_status_2(arguments: list[str], shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """An option out of its bounds is wrong usage, explained by what is expected."""
    with pytest.raises(SystemExit) as ended:
        run(shop, *arguments)
    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_addresses_come_from_the_nearest_place(
    shop: SmallShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An option counts before the environment, the environment before the local set-up's file."""
    arguments = (shop.catalog, "--images", shop.images)
    (tmp_path / ".sosie").mkdir()
    (tmp_path / ".sosie/local.json").write_text(json.dumps({"store": "http://local", "triton": "t:1", "pid": 7}))
    settings = command._read_settings(parse(*arguments))
    assert settings.backends == Backends("t:1", "http://local", "sosie")
    assert settings.models == Path("model_repository")
    monkeypatch.setenv("SOSIE_STORE", "http://environment")
    monkeypatch.setenv("SOSIE_COLLECTION", "theirs")
    monkeypatch.setenv("SOSIE_SPACE", "mini-1")
    settings = command._read_settings(parse(*arguments))
    assert settings.backends == Backends("t:1", "http://environment", "theirs", "mini-1")
    settings = command._read_settings(parse(*arguments, "--store", "o.db", "--collection", "mine", "--space", "mini-2"))
    assert settings.backends == Backends("t:1", "o.db", "mine", "mini-2")


def test_a_broken_local_file_counts_as_none(shop: SmallShop, tmp_path: Path) -> None:
    """A state file that is no JSON object leaves Triton at its usual address."""
    (tmp_path / ".sosie").mkdir()
    for text in ("{", "[]"):
        (tmp_path / ".sosie/local.json").write_text(text)
        settings = command._read_settings(parse(shop.catalog, "--images", shop.images, "--store", "x.db"))
        assert settings.backends.triton == "localhost:8001"


def encoders(*names: str) -> dict[str, FakeEncoder]:
    return {name: FakeEncoder(EmbeddingSpace(name, FAKE_SPACE.parts, "meaning", 10.0)) for name in names}


@pytest.mark.parametrize(
    ("served", "indexed", "asked", "chosen"),
    [
        (["a"], None, None, "a"),
        (["a"], "a", None, "a"),
        (["a", "b"], "b", None, "b"),
        (["a", "b"], None, "b", "b"),
        (["a", "b"], "b", "b", "b"),
    ],
)
def test_the_space_is_chosen(served: list[str], indexed: str | None, asked: str | None, chosen: str) -> None:
    """The space that is asked for counts, then the collection's, then the only one that is served."""
    backends = Backends("t", "s", "c", asked)
    assert choose_encoder(encoders(*served), indexed, backends).space.name == chosen


@pytest.mark.parametrize(
    ("served", "indexed", "asked", "problems"),
    [
        (["a", "b"], None, None, ["a, b", "--space"]),
        ([], None, None, ["none"]),
        (["a"], "z", None, ["'z'", "'a'", "--collection"]),
        (["a", "b"], "z", None, ["'z'", "a, b"]),
        (["a", "b"], "b", "a", ["'b'", "'a'"]),
        (["a"], "a", "z", ["'z'", "it serves: a"]),
    ],
)
def test_a_space_that_does_not_fit_is_refused(
    served: list[str], indexed: str | None, asked: str | None, problems: list[str]
) -> None:
    """Where the space is open, not served, or not the collection's, the message names all that are involved."""
    with pytest.raises(SetupError) as caught:
        choose_encoder(encoders(*served), indexed, Backends("t", "s", "c", asked))
    assert all(problem in str(caught.value) for problem in problems)


def read_events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_run_tells_machines(shop: SmallShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run writes its events, its summary as --json prints it, and its metrics; a success is remembered."""
    events, summary, metrics = tmp_path / "e.jsonl", tmp_path / "s.json", tmp_path / "m.prom"
    where = ("--json", "--events", events, "--summary", summary, "--metrics-textfile", metrics)
    assert run(shop, *where) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads(summary.read_text()) == printed
    assert (printed["success"], printed["exit_status"], printed["indexed"]) == (True, 0, 20)
    assert printed["last_success"] <= printed["ended"]
    assert 'sosie_index_indexed_pictures{collection="sosie"} 20.0' in metrics.read_text()
    break_pictures(shop, 10)
    assert run(shop, *where) == exit_status.TOO_MANY_REJECTS
    failed = json.loads(capsys.readouterr().out)
    assert (failed["success"], failed["last_success"]) == (False, printed["last_success"])
    assert read_events(events) == ["started", "ended"] * 2


def test_events_may_have_standard_output(shop: SmallShop, capsys: pytest.CaptureFixture[str]) -> None:
    """With --events - only events are on standard output, and the summary for people is beside them."""
    assert run(shop, "--events", "-") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["started", "ended"]
    assert err.startswith("20 pictures of 10 products")
    with pytest.raises(SystemExit, match="both take standard output"):
        run(shop, "--events", "-", "--json")


def test_a_target_in_use_is_left_alone(
    shop: SmallShop, store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While another run has the target, the command ends with its own status and touches nothing of that run's."""
    shop.rejects.write_text("{}\n")
    with open_state(tmp_path / "state", "x.db", "sosie"):
        assert run(shop, "--state", tmp_path / "state", "--summary", tmp_path / "s.json") == exit_status.LOCKED
    out, err = capsys.readouterr()
    assert (out, store.rows) == ("", {})
    assert err.startswith("sosie index: another run has this target: process ")
    assert shop.rejects.read_text() == "{}\n"
    assert json.loads((tmp_path / "s.json").read_text())["outcome"] == "locked"


def test_a_run_that_cannot_begin_tells_machines(shop: SmallShop, tmp_path: Path) -> None:
    """Where Triton is away the summary and the metrics say that the run failed."""
    where = ("--summary", tmp_path / "s.json", "--metrics-textfile", tmp_path / "m.prom")
    with pytest.raises(SystemExit, match="cannot use Triton"):
        run(shop, "--triton", "127.0.0.1:9", *where)
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["outcome"], summary["exit_status"], summary["last_success"]) == ("failed", 1, None)
    assert 'sosie_index_success{collection="sosie"} 0.0' in (tmp_path / "m.prom").read_text()


def test_a_run_goes_on_from_the_journal(
    shop: SmallShop, store: FakeStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a run that lost Milvus in its middle the next one says how much is done, and does the rest."""
    monkeypatch.setattr(job, "CHUNK", 4)
    monkeypatch.setattr(job, "MAX_ROWS", 4)
    monkeypatch.setattr("sosie.indexer.retries.Backoff.pause", lambda self, attempt: 0.001)
    write = store.upsert

    async def write_some(rows: Sequence[Row], *, timeout: float) -> None:
        await (write if store.writes < 8 else _lose)(rows, timeout=timeout)

    monkeypatch.setattr(store, "upsert", write_some)
    assert run(shop, "--batch", "4", "--in-flight", "1", "--json") == exit_status.FAILED
    written = len(store.rows)
    assert written >= 8
    monkeypatch.setattr(store, "upsert", write)
    capsys.readouterr()
    assert run(shop, "--batch", "4", "--in-flight", "1", "--json") == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["unchanged"], summary["resumed"], summary["indexed"]) == (written, written, 20 - written)
    assert f"an earlier run did not come to its end: {written} pictures that it did are not looked at" in err
    assert run(shop, "--json") == 0
    assert json.loads(capsys.readouterr().out)["resumed"] == 0
