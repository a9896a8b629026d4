from collections.abc import Iterator
from pathlib import Path

import pytest

from client.canned_gateway import CannedGateway, serve
from sosie.client import Client


@pytest.fixture
def gateway() -> Iterator[CannedGateway]:
    with serve() as gateway:
        yield gateway


@pytest.fixture
def client(gateway: CannedGateway) -> Iterator[Client]:
    with Client(gateway.address) as client:
        yield client


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file that begins as a JPEG does; nothing here decodes it."""
    path = tmp_path / "shoe.jpg"
    path.write_bytes(b"\xff\xd8\xff shoe")
    return path
