"""`--rebuild`: when a new collection takes the live one's place, and what is left where it does not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeStore
from indexer_fixtures import FAST, SmallShop, WordTokenizer, draw_picture, make_job, make_product, make_shop
from sosie.engine.errors import EngineError, NoIndexError
from sosie.engine.generations import State
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import VectorStore, product_key
from sosie.indexer.catalog import Catalog
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.rejects import RejectsFile
from sosie.indexer.report import Report
from sosie.indexer.retries import Retrier
from sosie.indexer.target.answering import Collected, Examiner
from sosie.indexer.target.errors import RefusedError, StoppedError
from sosie.indexer.target.options import TargetOptions
from sosie.indexer.target.questions import Question
from sosie.indexer.target.requirements import Requirement
from sosie.indexer.target.target import open_target

TIMEOUT = 5.0
PRODUCTS = 12
OTHER_SPACE = EmbeddingSpace("fake-000000000002", FAKE_SPACE.parts, "meaning", 10.0)


class KilledError(Exception):
    """Stands for the end of the process."""


@dataclass
class Rebuilder:
    """Rebuilds from a shop in one store, each time as a new run would."""

    shop: SmallShop
    store: FakeStore
    serves: dict[str, FakeEncoder] = field(default_factory=lambda: {FAKE_SPACE.name: FakeEncoder()})
    books: dict[str, Any] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, space: EmbeddingSpace = FAKE_SPACE, *, rebuild: bool = True, **options: Any) -> Report:
        """One run; `books` hold what it says of the rebuild."""
        wanted = TargetOptions(rebuild=rebuild, **options)
        encoder = self.serves[space.name]
        self.books = {}
        with RejectsFile(self.shop.rejects) as rejects, ThreadPoolExecutor(2) as pool:
            report = Report(rejects)
            retrier = Retrier(FAST, self.stopping)
            async with open_target(self.store, space, wanted, timeout=TIMEOUT) as target:
                catalog: Any = target.watch(Catalog(self.shop.catalog))
                await make_job(self.shop, encoder, target.store, report, pool, catalog=catalog).run()
                folder = PictureFolder(self.shop.images)
                examiner = Examiner(folder=folder, pool=pool, retrier=retrier, timeout=TIMEOUT)
                await target.replace_live(retrier, examiner, self.open_collected, self.books)
        return report

    @asynccontextmanager
    async def open_collected(self, store: VectorStore, space: EmbeddingSpace) -> AsyncIterator[Collected | None]:
        encoder = self.serves.get(space.name)
        yield Collected(store, encoder, WordTokenizer()) if encoder else None

    async def states(self) -> dict[str, State]:
        return {each.collection.name: each.state for each in await self.store.generations(timeout=TIMEOUT)}

    async def names(self, *states: State) -> list[str]:
        return [name for name, state in (await self.states()).items() if state in states]


@pytest.fixture
async def rebuilder(tmp_path: Path) -> Rebuilder:
    """A shop that is indexed, under the name fake_1."""
    made = Rebuilder(make_shop(tmp_path, PRODUCTS, views=2), FakeStore())
    await made.run(rebuild=False)
    return made


async def test_a_rebuild_takes_the_live_place(rebuilder: Rebuilder) -> None:
    """Everything is embedded anew into a new collection, which then is live; the old one stays as it was."""
    report = await rebuilder.run()
    assert report.indexed == PRODUCTS * 2
    assert await rebuilder.states() == {"fake_2": State.LIVE, "fake_1": State.PREVIOUS}
    assert rebuilder.store.rows.keys() == rebuilder.store.at("fake_1").rows.keys() == rebuilder.shop.keys()
    assert rebuilder.books == {
        "collection": "fake_2",
        "replaces": "fake_1",
        "resumed": False,
        "switched": True,
        "metrics": {"rows": 1.0, "kept": 1.0, "overlap@10": 1.0, "self@10": 1.0},
        "losses": [],
        "orphans": [],
    }


async def test_the_first_rebuild_needs_no_live_one(tmp_path: Path) -> None:
    """Where nothing is live a rebuild shows nothing until all is there; what compares is not asked for."""
    rebuilder = Rebuilder(make_shop(tmp_path, 3), FakeStore())
    requirements = tuple(map(Requirement.parse, ["overlap@10>=0.9", "kept>=1"]))
    await rebuilder.run(requirements=requirements)
    assert await rebuilder.states() == {"fake_1": State.LIVE}
    assert (rebuilder.books["replaces"], rebuilder.books["metrics"]) == (None, {})


async def test_a_killed_rebuild_goes_on_where_it_was(rebuilder: Rebuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next rebuild goes on in the half-built collection; what was live stays so until the end."""
    written = FakeStore.upsert

    async def die(store: FakeStore, rows: Sequence[Any], *, timeout: float) -> None:
        if len(store.rows) >= 8:
            raise KilledError
        await written(store, rows, timeout=timeout)

    with monkeypatch.context() as patch:
        patch.setattr(FakeStore, "upsert", die)
        with pytest.raises(ExceptionGroup):
            await rebuilder.run()
    assert await rebuilder.states() == {"fake_1": State.LIVE, "fake_2": State.BUILDING}
    half = len(rebuilder.store.at("fake_2").rows)
    assert 0 < half < PRODUCTS * 2
    report = await rebuilder.run()
    assert (report.unchanged, report.indexed) == (half, PRODUCTS * 2 - half)
    assert await rebuilder.states() == {"fake_2": State.LIVE, "fake_1": State.PREVIOUS}
    assert rebuilder.books["resumed"] is True


async def test_what_left_the_catalog_leaves_the_half_built_one(rebuilder: Rebuilder) -> None:
    """A rebuild that goes on deletes what the catalog listed when it was begun, and lists no longer."""
    with pytest.raises(RefusedError):
        await rebuilder.run(requirements=(Requirement.parse("rows>=2"),))
    gone = rebuilder.shop.products.pop()
    rebuilder.shop.save()
    await rebuilder.run(max_prune=50.0)
    assert rebuilder.books["resumed"] is True
    assert rebuilder.store.rows.keys() == rebuilder.shop.keys()
    assert rebuilder.books["losses"] == [{"shop": gone["shop"], "rows": 24, "gone": 2, "left": False}]


async def test_another_space_is_the_same_command(rebuilder: Rebuilder) -> None:
    """A rebuild in another embedding space goes live like any other, and back again."""
    rebuilder.serves[OTHER_SPACE.name] = FakeEncoder(OTHER_SPACE)
    report = await rebuilder.run(OTHER_SPACE)
    assert report.indexed == PRODUCTS * 2
    assert (await rebuilder.store.space(timeout=TIMEOUT)).name == OTHER_SPACE.name
    await rebuilder.store.switch("fake_1", timeout=TIMEOUT)
    assert await rebuilder.states() == {"fake_1": State.LIVE, "fake_2": State.PREVIOUS}


async def test_half_built_ones_of_another_space_are_listed(rebuilder: Rebuilder) -> None:
    """A rebuild in one space does not go on in what was begun in another; that stays listed, as an orphan."""
    rebuilder.serves[OTHER_SPACE.name] = FakeEncoder(OTHER_SPACE)
    with pytest.raises(RefusedError):
        await rebuilder.run(OTHER_SPACE, requirements=(Requirement.parse("rows>=2"),))
    await rebuilder.run()
    assert await rebuilder.names(State.ORPHAN) == rebuilder.books["orphans"] == ["fake_2"]


@pytest.mark.parametrize(
    ("requirement", "complaint"),
    [
        ("rows>=1.01", "rows>=1.01 does not hold, it is 1"),
        ("overlap@10<=0.5", "overlap@10<=0.5 does not hold, it is 1"),
        ("mrr@10>=0.1", "mrr@10>=0.1 could not be measured"),
    ],
)
async def test_it_stays_out_unless_all_is_as_required(rebuilder: Rebuilder, requirement: str, complaint: str) -> None:
    """A requirement that does not hold leaves the live collection live and the new one half built, and says why."""
    with pytest.raises(RefusedError) as refused:
        await rebuilder.run(requirements=(Requirement.parse("kept>=1"), Requirement.parse(requirement)))
    assert f"fake_2 did not go live: {complaint}; it stays" in str(refused.value)
    assert await rebuilder.states() == {"fake_1": State.LIVE, "fake_2": State.BUILDING}
    assert rebuilder.books["switched"] is False
    assert rebuilder.books["metrics"]["overlap@10"] == 1.0


async def test_what_would_be_lost_is_bounded(rebuilder: Rebuilder) -> None:
    """A catalog that lacks much of what is live does not replace it, unless that is allowed."""
    del rebuilder.shop.products[6:]
    rebuilder.shop.save()
    with pytest.raises(RefusedError, match=r"12 of 24 pictures of 'norden' \(50%\), more than --max-prune 10%"):
        await rebuilder.run()
    await rebuilder.run(max_prune=50.0)
    assert await rebuilder.names(State.LIVE) == ["fake_2"]


async def test_other_shops_are_not_lost(rebuilder: Rebuilder) -> None:
    """A catalog of one shop does not replace a collection of two, unless the other is named as gone."""
    rebuilder.shop.products.append({**make_product(0, 2), "shop": "sud"})
    rebuilder.shop.save()
    await rebuilder.run(rebuild=False)
    rebuilder.shop.products.pop()
    rebuilder.shop.save()
    with pytest.raises(RefusedError, match=r"2 of 2 pictures of 'sud' \(100%\).*--prune-shop"):
        await rebuilder.run(max_prune=100.0)
    await rebuilder.run(max_prune=0.0, left=("sud",))
    assert await rebuilder.names(State.LIVE) == ["fake_2"]
    assert rebuilder.store.rows.keys() == rebuilder.shop.keys()


async def test_other_pictures_show_in_the_overlap(rebuilder: Rebuilder) -> None:
    """Where all pictures changed they find other neighbours than before, and themselves as before."""
    for number, product in enumerate(rebuilder.shop.products):
        for picture in product["pictures"]:
            draw_picture(rebuilder.shop.images / picture["path"], seed=1000 - 7 * number)
    with pytest.raises(RefusedError, match=r"overlap@10>=1 does not hold"):
        await rebuilder.run(requirements=(Requirement.parse("overlap@10>=1"),))
    assert rebuilder.books["metrics"]["overlap@10"] < 1
    assert rebuilder.books["metrics"]["self@10"] == 1


def ask(number: int, *, text: str = "", image: str = "") -> Question:
    return Question(text, image, frozenset([product_key("norden", f"p{number}")]))


async def test_questions_judge_both_collections(rebuilder: Rebuilder) -> None:
    """Questions of both kinds are asked in both, and requirements may be about the change."""
    questions = (ask(3, text="Suede boot 3 , Norden"), ask(5, image="5/1.jpg"), ask(99, image="0/0.jpg"))
    holds = tuple(map(Requirement.parse, ["hit@10>=0.3", "mrr@10.change>=0"]))
    await rebuilder.run(questions=questions, requirements=holds)
    metrics = rebuilder.books["metrics"]
    assert 1 / 3 - 0.01 < metrics["mrr@10"] <= metrics["recall@10"] == metrics["hit@10"] <= 2 / 3 + 0.01
    assert [metrics[f"{name}@10.change"] for name in ("hit", "recall", "mrr")] == [0, 0, 0]


async def test_a_change_needs_both_encoders(rebuilder: Rebuilder) -> None:
    """Where nobody serves the live collection's space any more, the change cannot be measured, and is not guessed."""
    rebuilder.serves = {OTHER_SPACE.name: FakeEncoder(OTHER_SPACE)}
    changed = (Requirement.parse("mrr@10.change>=0"),)
    with pytest.raises(RefusedError, match=r"mrr@10.change>=0 could not be measured"):
        await rebuilder.run(OTHER_SPACE, questions=(ask(5, image="5/1.jpg"),), requirements=changed)
    assert "mrr@10" in rebuilder.books["metrics"]


async def test_a_question_without_its_picture_stops_it(rebuilder: Rebuilder) -> None:
    """A question whose picture is not there leaves the live collection live, and is named."""
    with pytest.raises(RefusedError, match=r"the picture 'no\.jpg' of a question cannot be used"):
        await rebuilder.run(questions=(ask(1, image="no.jpg"),))
    assert await rebuilder.names(State.LIVE) == ["fake_1"]


async def test_a_collection_that_does_not_answer_stays_out(
    rebuilder: Rebuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new collection that cannot be searched does not go live."""
    searched = FakeStore.probe

    async def fail(store: FakeStore, *, timeout: float) -> EmbeddingSpace:
        if store._name == "fake_2":
            raise NoIndexError("no")
        return await searched(store, timeout=timeout)

    monkeypatch.setattr(FakeStore, "probe", fail)
    with pytest.raises(EngineError):
        await rebuilder.run()
    assert await rebuilder.names(State.LIVE) == ["fake_1"]


async def test_a_run_that_is_to_end_does_not_switch(rebuilder: Rebuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal while the two are compared leaves the live collection live."""
    fetched = FakeStore.fetch

    async def stop(store: FakeStore, keys: Sequence[str], *, timeout: float) -> dict[str, Any]:
        rebuilder.stopping.set()
        return await fetched(store, keys, timeout=timeout)

    monkeypatch.setattr(FakeStore, "fetch", stop)
    with pytest.raises(StoppedError):
        await rebuilder.run()
    assert await rebuilder.states() == {"fake_1": State.LIVE, "fake_2": State.BUILDING}


async def test_rows_that_changed_are_no_losses(rebuilder: Rebuilder) -> None:
    """A product that changed since it was indexed is lost by no rebuild."""
    rebuilder.shop.products[0]["title"] = "Another title"
    rebuilder.shop.save()
    await rebuilder.run(max_prune=0.0)
    assert rebuilder.books["losses"] == []


async def test_rejected_pictures_are_losses(rebuilder: Rebuilder) -> None:
    """A picture whose file is gone cannot be in the new collection: it counts as what the switch would lose."""
    (rebuilder.shop.images / "0/0.jpg").unlink()
    with pytest.raises(RefusedError, match="1 of 24 pictures"):
        await rebuilder.run(max_prune=4.0)
    await rebuilder.run()
    assert rebuilder.books["metrics"]["kept"] == pytest.approx(23 / 24, abs=1e-4)
