"""A small drawn shop, written once for all tests of this room."""

from pathlib import Path

import pytest

from sosie.shop.plan import PlannedProduct
from sosie.shop.writing import write_shop

PRODUCTS, VIEWS, SIZE = 32, 2, 128


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PlannedProduct]]:
    """Its folder and its plan: two products of each kind."""
    folder = tmp_path_factory.mktemp("drawn") / "shop"
    return folder, write_shop(folder, products=PRODUCTS, views=VIEWS, size=SIZE)
