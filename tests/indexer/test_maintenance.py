"""`sosie index rollback`, `collections` and `drop`, and the options of `--prune` and `--rebuild`."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from documented import ROOT, read_table
from fakes import FAKE_SPACE, FakeEncoder, FakeStore
from indexer_fixtures import SmallShop, WordTokenizer, make_shop
from sosie.engine.errors import BackendUnavailableError
from sosie.engine.generations import IndexKind, Layout
from sosie.engine.space import EmbeddingSpace
from sosie.indexer import command, opening, session
from sosie.indexer.encoding import servers
from sosie.indexer.reporting import exit_status
from sosie.indexer.target import collected, maintenance_command
from sosie.indexer.target.options import INDEXES
from sosie.indexer.target.requirements import METRICS, Requirement
from sosie.indexer.target.state import open_state

OTHER_SPACE = EmbeddingSpace("fake-000000000002", FAKE_SPACE.parts, "meaning", 10.0)


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


class AnyTokenizer:
    """Tokenizer for whatever repository."""

    @staticmethod
    def find(models: Path, text_input: Any) -> WordTokenizer:
        return WordTokenizer()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeStore:
    """The double of Milvus, with doubles of Triton and the tokenizer, in an empty folder with an empty environment."""
    made = FakeStore()
    for module in (opening, maintenance_command):
        monkeypatch.setattr(module, "MilvusStore", lambda uri, collection: made)
    monkeypatch.setattr(servers, "TritonModels", Models)
    monkeypatch.setattr(session, "_open_tokenizer", lambda settings, encoder: WordTokenizer())
    monkeypatch.setattr(collected, "Tokenizer", AnyTokenizer)
    monkeypatch.setattr(Models, "encoders", {FAKE_SPACE.name: FakeEncoder()})
    monkeypatch.chdir(tmp_path)
    Path("x.db").mkdir()
    for name in ("STORE", "TRITON", "MODELS", "COLLECTION", "SPACE", "STATE"):
        monkeypatch.delenv(f"SOSIE_{name}", raising=False)
    return made


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    return make_shop(tmp_path / "shop", 10, views=2)


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser(prog="sosie index")
    command.add_arguments(parser)
    return command.run(parser.parse_args(["--store", "x.db", *(str(argument) for argument in arguments)]))


def index(shop: SmallShop, *arguments: str | Path) -> int:
    return run(shop.catalog, "--images", shop.images, *arguments)


def read_collections(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, int]]:
    """What `collections` lists: state and rows by name."""
    capsys.readouterr()
    assert run("collections", "--json") == 0
    return {each["name"]: (each["state"], each["rows"]) for each in json.loads(capsys.readouterr().out)}


def test_a_whole_life(shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Collections are made, replaced, gone back to and dropped, and each of them is listed all the time."""
    assert read_collections(capsys) == {}
    assert index(shop) == 0
    shop.products.pop()
    shop.save()
    assert index(shop, "--rebuild", "--require", "overlap@10>=0.5") == 0
    out = capsys.readouterr().out
    assert "live now: fake_2 in place of fake_1\n" in out
    assert "  2 of 20 pictures of norden are not in it\n" in out
    assert read_collections(capsys) == {"fake_2": ("live", 18), "fake_1": ("previous", 20)}
    assert run("rollback") == 0
    assert capsys.readouterr().out == f"live again: fake_1, 20 rows, space {FAKE_SPACE.name}\n"
    assert run("rollback") == 0
    assert index(shop, "--rebuild") == 0
    assert "  nothing uses fake_1: sosie index drop fake_1\n" in capsys.readouterr().out
    expected = {"fake_3": ("live", 18), "fake_2": ("previous", 18), "fake_1": ("orphan", 20)}
    assert read_collections(capsys) == expected
    assert run("drop", "fake_1") == 0
    assert capsys.readouterr().out == "dropped fake_1, 20 rows\n"
    assert read_collections(capsys).keys() == {"fake_3", "fake_2"}


def test_collections_are_listed_for_people(
    shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a collection, with its state, its rows and its space; one line where there is none."""
    assert run("collections") == 0
    assert capsys.readouterr().out == "no collection of sosie at x.db\n"
    assert index(shop) == 0
    capsys.readouterr()
    assert run("collections") == 0
    assert capsys.readouterr().out == f"live               20 rows  fake_1  {FAKE_SPACE.name}\n"


def test_pruning_is_part_of_a_run(shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """With --prune a product that left the catalog leaves the index, the summary counts it, and nothing is embedded."""
    assert index(shop) == 0
    shop.products.pop()
    shop.save()
    assert index(shop) == 0
    assert len(store.rows) == 20
    assert index(shop, "--prune") == 0
    assert store.rows.keys() == shop.keys()
    assert "  pruned             2\n    2 of 20 of norden\n" in capsys.readouterr().out
    assert index(shop, "--prune", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["unchanged"], summary["pruned"]["rows"]) == (18, 0)


def test_a_refusal_has_a_status_of_its_own(
    shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would delete or replace too much ends with 4 and one line, the summary's outcome is refused."""
    assert index(shop) == 0
    del shop.products[5:]
    shop.save()
    capsys.readouterr()
    assert index(shop, "--prune", "--json") == exit_status.REFUSED
    out, err = capsys.readouterr()
    assert json.loads(out)["outcome"] == "refused"
    assert err.startswith("sosie index: the catalog lacks 10 of 20 pictures of 'norden' (50%)")
    assert err.count("\n") == 1
    assert index(shop, "--rebuild", "--json") == exit_status.REFUSED
    summary = json.loads(capsys.readouterr().out)
    assert (summary["rebuild"]["switched"], summary["rebuild"]["metrics"]["kept"]) == (False, 0.5)
    assert index(shop, "--prune", "--max-prune", "50") == 0
    assert len(store.rows) == 10


@pytest.mark.parametrize("asked", ["--prune", "--rebuild"])
def test_many_rejects_delete_and_replace_nothing(
    asked: str, shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run with more rejects than --max-rejects neither prunes nor switches."""
    assert index(shop) == 0
    shop.products.pop()
    shop.save()
    for number in range(3):
        (shop.images / f"{number}/0.jpg").unlink()
    assert index(shop, asked) == exit_status.REFUSED
    assert "3 of 18 rejected, more than --max-rejects 5%" in capsys.readouterr().err
    assert len(store.rows) == 20


def test_moving_to_another_space(shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """--rebuild moves to the space that is asked for; a rollback to one that nobody serves is done, with a warning."""
    assert index(shop) == 0
    Models.encoders = {OTHER_SPACE.name: FakeEncoder(OTHER_SPACE)}
    with pytest.raises(SystemExit, match="or move this one by --rebuild"):
        index(shop)
    questions = shop.folder / "questions.jsonl"
    question = {"text": "Suede boot 3", "products": [{"shop": "norden", "product_id": "p3"}]}
    questions.write_text(json.dumps(question) + "\n\n" + json.dumps({**question, "image": "3/0.jpg"}) + "\n")
    capsys.readouterr()
    assert index(shop, "--rebuild", "--queries", questions, "--require", "hit@10>=0.5", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["space"], report["rebuild"]["switched"]) == (OTHER_SPACE.name, True)
    assert report["rebuild"]["metrics"].keys() == {
        "rows", "kept", "overlap@10", "self@10", "hit@10", "recall@10", "mrr@10",
    }  # fmt: skip
    assert run("rollback") == 0
    assert f"warning: Triton at localhost:8001 does not serve the space {FAKE_SPACE.name}" in capsys.readouterr().err
    assert run("rollback", "--triton", "127.0.0.1:9") == 0
    assert capsys.readouterr().err == ""


def test_the_layout_is_for_what_is_made(shop: SmallShop, store: FakeStore) -> None:
    """A collection is made as the options say, a rebuilt one for as many rows as are live; one that is there stays."""
    assert index(shop, "--index", "flat") == 0
    assert index(shop, "--index", "diskann") == 0
    assert index(shop, "--rebuild", "--index", "diskann", "--by-shop") == 0
    layouts = [known.layout for known in store.server.collections.values()]
    assert layouts == [Layout("flat"), Layout("diskann", rows=20, by_shop=True)]


def test_every_kind_of_index_can_be_asked_for() -> None:
    """The choices of --index are those that a store knows."""
    assert get_args(IndexKind) == INDEXES


def test_what_cannot_be_undone_is_said(shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """No previous collection, one that is live, and one that is not there end with 1 and one line."""
    assert index(shop) == 0
    capsys.readouterr()
    for arguments, said in (
        (["rollback"], "sosie has no previous collection to go back to"),
        (["drop", "fake_1"], "fake_1 is live: roll back, or rebuild, first"),
        (["drop", "fake_7"], "sosie has no collection 'fake_7', only fake_1"),
    ):
        assert run(*arguments) == 1
        assert capsys.readouterr().err == f"sosie index: {said}\n"


@pytest.mark.parametrize("arguments", [["collections"], ["rollback"], ["drop", "fake_1"]])
def test_no_index_is_made_to_look_into(arguments: list[str], store: FakeStore) -> None:
    """A path without an index is refused, and stays without."""
    with pytest.raises(SystemExit, match=r"there is no index at y\.db"):
        run(*arguments, "--store", "y.db")
    assert not Path("y.db").exists()


def test_a_running_job_is_not_disturbed(shop: SmallShop, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """While a run has the target nothing is rolled back or dropped; listing is no harm."""
    assert index(shop) == 0
    with open_state(Path(".sosie/index"), "x.db", "sosie"):
        assert run("rollback") == run("drop", "fake_1") == exit_status.LOCKED
        assert "another run has this target" in capsys.readouterr().err
        assert run("collections") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["catalog.jsonl"], "required: --images"),
        (["drop"], "required: NAME"),
        (["rollback", "x"], "unrecognized arguments: x"),
        (["catalog.jsonl", "more.jsonl", "--images", "."], "unrecognized arguments: more.jsonl"),
        (["c", "--images", ".", "--max-prune", "101%"], "expected a percentage such as 10%"),
        (["c", "--images", ".", "--max-prune", "few"], "expected a percentage such as 10%"),
        (["c", "--images", ".", "--rebuild", "--require", "beauty>=1"], "no metric 'beauty', only rows, kept"),
        (["c", "--images", ".", "--rebuild", "--require", "rows=1"], "expected METRIC>=VALUE"),
        (["c", "--images", ".", "--rebuild", "--require", "rows>=nan"], "expected METRIC>=VALUE"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not belong together on the command line is status 2."""
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--require", "rows>=1"], "--require is for --rebuild"),
        (["--queries", "q.jsonl"], "--queries is for --rebuild"),
        (["--prune-shop", "a"], "--prune-shop is for --prune and --rebuild"),
        (["--prune", "--rebuild"], "--rebuild has nothing to prune"),
        (["--rebuild", "--require", "mrr@10.change>=0"], "give --queries FILE"),
        (["--rebuild", "--queries", "no.jsonl"], "no.jsonl: No such file"),
    ],
)
def test_options_that_do_not_fit(options: list[str], said: str, shop: SmallShop, store: FakeStore) -> None:
    """Options that ask for what the run will not do end it before it begins."""
    with pytest.raises(SystemExit, match=said):
        index(shop, *options)
    assert store.server.collections == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "holds no question"),
        ("{", "line 1 is not JSON"),
        ("[]", "text, image and products alone"),
        ('{"txt": "a", "products": []}', "text, image and products alone"),
        ('{"products": [{"shop": "a", "product_id": "b"}]}', "asks nothing"),
        ('{"text": 7, "products": [{"shop": "a", "product_id": "b"}]}', "asks nothing"),
        ('{"text": "a"}', "products must be a list"),
        ('{"text": "a", "products": ["b"]}', "products must be a list"),
        ('{"text": "a", "products": [{"shop": 1, "product_id": "b"}]}', "products must be a list"),
        ('{"text": "a", "products": []}', "names no product"),
    ],
)
def test_questions_are_checked(line: str, said: str, shop: SmallShop, store: FakeStore) -> None:
    """A file that is no set of questions is refused by its line before anything is done."""
    questions = shop.folder / "questions.jsonl"
    questions.write_text(f"{line}\n")
    with pytest.raises(SystemExit, match=said):
        index(shop, "--rebuild", "--queries", questions)
    assert store.server.collections == {}


def test_requirements_read_both_ways() -> None:
    """At least and at most, with or without blanks, whole numbers or not."""
    assert Requirement.parse(" overlap@10 >= .8 ") == Requirement("overlap@10", at_least=True, limit=0.8)
    assert str(Requirement.parse("rows<=2")) == "rows<=2"


def test_every_metric_is_documented() -> None:
    """The page's table has every metric that --require knows, and no other."""
    rows = read_table(ROOT / "docs" / "rebuilding.md", "| metric | is |")
    assert [name.strip() for row in rows for name in row[0].split(",")] == list(METRICS)


def test_repeated_pictures_that_are_dropped_are_pruned(shop: SmallShop, store: FakeStore) -> None:
    """A picture that --near-duplicates drop leaves out is not listed: --prune deletes its row."""
    assert index(shop) == 0
    (shop.images / "3/1.jpg").write_bytes((shop.images / "3/0.jpg").read_bytes())
    assert index(shop, "--near-duplicates", "drop") == 0
    assert len(store.rows) == 20
    assert index(shop, "--near-duplicates", "drop", "--prune") == 0
    assert len(store.rows) == 19
