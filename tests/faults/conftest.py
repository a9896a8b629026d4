"""A house of real servers that tests may break: Triton with tiny models, Milvus with a small shop, proxies between."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fakes import unit, write_fake_tokenizer
from faults.gateway_process import GatewayProcess, run_gateway_process
from faults.proxy import Proxy
from gateway_shop import COLOURS, KINDS, make_product, make_row
from milvus_fixtures import MilvusServer, run_milvus
from sosie.engine.milvus import MilvusStore
from sosie.local.triton import LocalTriton

LIMIT = 60.0
LEASE = 15
"""Seconds that Milvus may stand still."""
LONG = 40_000
"""Characters that describe each of the six products of the shop `archive`: answers of 240 kB."""


@dataclass
class House:
    """Servers that a test may break; it leaves them as it found them. Gateways reach them through the proxies."""

    triton: LocalTriton
    milvus: MilvusServer
    models: Path
    folder: Path
    triton_proxy: Proxy
    milvus_proxy: Proxy

    def gateway(self, **settings: object) -> AbstractAsyncContextManager[GatewayProcess]:
        """A gateway over this house; without a cache of sentences, so that each needs Triton."""
        return run_gateway_process(
            triton=self.triton_proxy.address,
            store=f"http://{self.milvus_proxy.address}",
            models=self.models,
            folder=self.folder,
            **{"text_cache": 0, "balancer_wait": 0, **settings},
        )


@pytest.fixture(scope="session")
def faulty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair of tiny encoders with a tokenizer, and a classifier."""
    from engine import tiny_encoders  # noqa: PLC0415 -- onnx is slow to import

    root = tmp_path_factory.mktemp("repository")
    digest = write_fake_tokenizer(root)
    tiny_encoders.write_image_encoder(root / "tiny_image", tiny_encoders.TINY_SPACE)
    tiny_encoders.write_text_encoder(root / "tiny_text", tiny_encoders.TINY_SPACE)
    tiny_encoders.write_classifier(root / "hue")
    config = root / "tiny_text" / "config.pbtxt"
    config.write_text(config.read_text().replace(tiny_encoders.TEXT_INPUT.tokenizer_sha256, digest))
    return root


@pytest.fixture(scope="session")
def breakable_triton(faulty_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    with LocalTriton(faulty_repository, tmp_path_factory.mktemp("triton")) as triton:
        yield triton


@pytest.fixture(scope="session")
def filled_milvus(milvus_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A server with the small shop of the gateway's tests, and once more as `archive`; its vectors are random."""
    with run_milvus(milvus_binaries, tmp_path_factory.mktemp("milvus") / "server", lease=LEASE) as server:
        asyncio.run(_fill(server.uri))
        yield server


async def _fill(uri: str) -> None:
    from engine.tiny_encoders import TINY_SPACE  # noqa: PLC0415 -- as above

    random = np.random.default_rng(4)
    products = [make_product(colour, kind) for colour in COLOURS for kind in KINDS]
    for product in [make_product(colour, kind) for colour in COLOURS for kind in KINDS]:
        product.shop, product.description = "archive", "x" * LONG
        products.append(product)
    rows = [
        make_row(
            product,
            position,
            TINY_SPACE.assemble({part.name: unit(random.normal(size=part.size)) for part in TINY_SPACE.parts}),
        )
        for product in products
        for position in range(len(product.pictures))
    ]
    store = MilvusStore(uri, "sosie")
    try:
        await store.create(TINY_SPACE, timeout=LIMIT)
        await store.upsert(rows, timeout=LIMIT)
        await store.flush(timeout=LIMIT)
    finally:
        await store.close()


@pytest.fixture
async def house(
    breakable_triton: LocalTriton, filled_milvus: MilvusServer, faulty_repository: Path, tmp_path: Path
) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        triton_proxy = await stack.enter_async_context(Proxy(breakable_triton.grpc_address))
        milvus_proxy = await stack.enter_async_context(Proxy(filled_milvus.service.address))
        yield House(breakable_triton, filled_milvus, faulty_repository, tmp_path, triton_proxy, milvus_proxy)
