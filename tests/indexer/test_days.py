"""Day after day over the drawn shop, on a real Milvus Lite and a real Milvus server: what each change costs."""

import json
import shutil
from pathlib import Path

import pytest

import killed_process
from daily import DailyShop, check, live_through, open_index
from milvus_fixtures import MilvusServer, name_collection
from sosie.engine import milvus_collection
from stack_fixtures import DrawnShop

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(drawn_shop: DrawnShop, tmp_path: Path) -> DailyShop:
    images = shutil.copytree(drawn_shop.images, tmp_path / "images")
    products = [json.loads(line) for line in drawn_shop.catalog.read_text().splitlines()]
    return DailyShop(tmp_path / "catalog.jsonl", images, products)


async def cost_what_they_change(uri: str, collection: str, folder: Path, shop: DailyShop) -> None:
    async with open_index(uri, collection, folder) as index:
        summaries = {day: summary async for day, summary in live_through(index, shop)}
    check(summaries, summaries["all new"]["pictures"])


async def test_days_with_milvus_lite(shop: DailyShop, tmp_path: Path) -> None:
    """Nothing changed: nothing is encoded or written; a price: one write; a picture: one inference; a product: gone."""
    await cost_what_they_change(str(tmp_path / "index.db"), "sosie", tmp_path / "run", shop)


async def test_days_with_a_milvus_server(
    milvus_server: MilvusServer, shop: DailyShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same changes cost the same on a server."""
    monkeypatch.setattr(milvus_collection, "is_settled", killed_process.is_settled)
    with name_collection(milvus_server.uri) as collection:
        await cost_what_they_change(milvus_server.uri, collection, tmp_path / "run", shop)
