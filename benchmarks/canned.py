"""Servers that answer as Triton and Milvus do, at once: what a gateway costs can be measured before them.

    python benchmarks/canned.py --models DIR [--delay MS] [--slots N] [--views N]

They speak both protocols as far as a gateway asks, with the models' self-descriptions from DIR (where `sosie models
build mini` has built), unit vectors of random directions and a collection of random products with `--views` pictures
each. Nothing is computed: replies are serialised once and sent again. A model answers `--slots` requests at once, each
after `--delay`, so that a capacity can be set. Prints one line, {"triton": "127.0.0.1:PORT", "store":
"http://127.0.0.1:PORT"}, and serves until it is ended.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from google.protobuf import text_format
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2
from tritonclient.grpc import model_config_pb2, service_pb2

from sosie.engine.milvus_rows import make_schema, pack_position
from sosie.engine.space import EmbeddingSpace
from sosie.engine.store import picture_key, product_key
from sosie.v1 import product_pb2

PRODUCTS = 400
ADDRESS = re.compile(r'"([0-9a-f]{32})"')

_TRITON = "inference.GRPCInferenceService"
_MILVUS = "milvus.proto.milvus.MilvusService"
_LARGE = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_OK = common_pb2.Status()

Handler = Callable[[bytes], Awaitable[bytes]]


class CannedTriton:
    """The models of a repository; each answers `slots` requests at once, each after `delay` seconds."""

    def __init__(self, repository: Path, *, delay: float, slots: int) -> None:
        self.configs: dict[str, Any] = {}
        for path in sorted(repository.glob("mini_*/config.pbtxt")):
            config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
            self.configs[config.name] = config
        if not self.configs:
            raise SystemExit(f"no mini_*/config.pbtxt under {repository}: sosie models build mini --repository DIR")
        self._delay = delay
        self._slots = {name: asyncio.Semaphore(slots) for name in self.configs}

    @property
    def space(self) -> EmbeddingSpace:
        return EmbeddingSpace.from_json(self.configs["mini_image"].parameters["space"].string_value)

    def handlers(self) -> dict[str, Handler]:
        return {
            "RepositoryIndex": self._list_models,
            "ModelConfig": self._describe,
            "ModelInfer": self._infer,
            "ModelStatistics": self._count,
        }

    async def _list_models(self, _request: bytes) -> bytes:
        ready = service_pb2.RepositoryIndexResponse()
        for name in self.configs:
            ready.models.add(name=name, version="1", state="READY")
        return bytes(ready.SerializeToString())

    async def _describe(self, request: bytes) -> bytes:
        name = service_pb2.ModelConfigRequest.FromString(request).name
        return bytes(service_pb2.ModelConfigResponse(config=self.configs[name]).SerializeToString())

    async def _count(self, _request: bytes) -> bytes:
        return bytes(service_pb2.ModelStatisticsResponse().SerializeToString())

    async def _infer(self, request: bytes) -> bytes:
        asked = service_pb2.ModelInferRequest.FromString(request)
        if self._delay:
            async with self._slots[asked.model_name]:
                await asyncio.sleep(self._delay)
        return self._reply(asked.model_name, int(asked.inputs[0].shape[0]), tuple(o.name for o in asked.outputs))

    @lru_cache(maxsize=1024)  # noqa: B019 - one object, which lives as long as the process
    def _reply(self, name: str, rows: int, outputs: tuple[str, ...]) -> bytes:
        reply = service_pb2.ModelInferResponse(model_name=name, model_version="1")
        numbers = np.random.default_rng(rows)
        for output in self.configs[name].output:
            if output.name not in outputs:
                continue
            vectors = numbers.normal(size=(rows, math.prod(output.dims))).astype(np.float32)
            if output.name == "probabilities":
                vectors = np.exp(vectors)
                vectors /= vectors.sum(1, keepdims=True)
            else:
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            reply.outputs.add(name=output.name, datatype="FP32", shape=vectors.shape)
            reply.raw_output_contents.append(vectors.tobytes())
        return bytes(reply.SerializeToString())


class CannedMilvus:
    """A collection of products with `views` pictures each; every search finds the same ones."""

    def __init__(self, space: EmbeddingSpace, views: int) -> None:
        self._space = space
        self._views = views
        numbers = random.Random(7)
        self._rows = []
        for i in range(PRODUCTS * views):
            # A product's pictures stand apart, as they do in a real answer.
            number, view = i % PRODUCTS, i // PRODUCTS
            self._rows.append((_make_product(number, views), view, 0.9 - 0.0005 * i - 0.00001 * numbers.random()))

    def handlers(self) -> dict[str, Handler]:
        ok = common_pb2.Status().SerializeToString
        canned: dict[str, bytes] = {
            "Connect": milvus_pb2.ConnectResponse(status=_OK, identifier=1).SerializeToString(),
            "GetVersion": milvus_pb2.GetVersionResponse(status=_OK, version="v2.6.0").SerializeToString(),
            "LoadCollection": ok(),
            "DescribeCollection": self._describe().SerializeToString(),
        }

        def always(reply: bytes) -> Handler:
            async def answer(_request: bytes) -> bytes:
                return reply

            return answer

        return {name: always(reply) for name, reply in canned.items()} | {"Search": self._search}

    def _describe(self) -> Any:
        schema = make_schema(self._space)
        schema.verify()
        fields = [
            schema_pb2.FieldSchema(
                fieldID=100 + i,
                name=field.name,
                data_type=field.dtype,
                is_primary_key=field.is_primary,
                type_params=[common_pb2.KeyValuePair(key=k, value=str(v)) for k, v in field.params.items()],
            )
            for i, field in enumerate(schema.fields)
        ]
        described = schema_pb2.CollectionSchema(name="canned", description=self._space.to_json(), fields=fields)
        return milvus_pb2.DescribeCollectionResponse(
            status=_OK, schema=described, collectionID=1, collection_name="canned", aliases=["sosie"]
        )

    async def _search(self, request: bytes) -> bytes:
        asked = milvus_pb2.SearchRequest.FromString(request)
        params = {pair.key: pair.value for pair in asked.search_params}
        return self._find(int(params["topk"]), asked.dsl, tuple(asked.output_fields))

    @lru_cache(maxsize=256)  # noqa: B019 - one object, which lives as long as the process
    def _find(self, limit: int, dsl: str, output_fields: tuple[str, ...]) -> bytes:
        wanted = set(ADDRESS.findall(dsl)) if "product_key in" in dsl else set()
        rows = [row for row in self._rows if not wanted or product_key(row[0].shop, row[0].product_id) in wanted]
        rows = rows[:limit]
        columns: dict[str, list[Any]] = {
            "key": [picture_key(p.shop, p.product_id, p.pictures[view].id) for p, view, _ in rows],
            "product_key": [product_key(p.shop, p.product_id) for p, _, _ in rows],
            "position": [pack_position(view, self._views) for _, view, _ in rows],
            "payload": [base64.b64encode(p.SerializeToString()).decode() for p, _, _ in rows],
        }
        fields = [_make_column(name, columns[name]) for name in output_fields]
        data = schema_pb2.SearchResultData(
            num_queries=1,
            top_k=len(rows),
            fields_data=fields,
            scores=[dot for _, _, dot in rows],
            ids=schema_pb2.IDs(str_id=schema_pb2.StringArray(data=columns["key"])),
            topks=[len(rows)],
            output_fields=output_fields,
            primary_field_name="key",
        )
        return bytes(milvus_pb2.SearchResults(status=_OK, results=data).SerializeToString())


def _make_column(name: str, values: list[Any]) -> Any:
    if isinstance(values[0], int):
        scalars = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=values))
        return schema_pb2.FieldData(type=schema_pb2.DataType.Int64, field_name=name, scalars=scalars)
    scalars = schema_pb2.ScalarField(string_data=schema_pb2.StringArray(data=values))
    return schema_pb2.FieldData(type=schema_pb2.DataType.VarChar, field_name=name, scalars=scalars)


@lru_cache(maxsize=PRODUCTS)
def _make_product(number: int, views: int) -> product_pb2.Product:
    """A product as large as shops' are: half a kilobyte."""
    return product_pb2.Product(
        shop="north",
        product_id=f"{number:06}",
        title=f"Suede ankle boot with a low heel, number {number}",
        brand="Norden",
        category_path=["Women", "Shoes", "Boots"],
        price=product_pb2.Price(currency_code="EUR", units=89, nanos=990_000_000),
        url=f"https://shop.example/women/shoes/boots/suede-ankle-boot-with-a-low-heel-{number}",
        pictures=[
            product_pb2.Picture(id=f"{number}-{i}", url=f"https://img.shop.example/1200/{number}-{i}.jpg")
            for i in range(views)
        ],
        availability=product_pb2.IN_STOCK,
        attributes={"colour": "brown", "material": "suede", "season": "autumn"},
    )


async def serve(models: Path, *, delay: float, slots: int, views: int) -> None:
    triton = CannedTriton(models, delay=delay, slots=slots)
    milvus = CannedMilvus(triton.space, views)
    ports = []
    servers = []
    for service, handlers in ((_TRITON, triton.handlers()), (_MILVUS, milvus.handlers())):
        server = grpc.aio.server(options=_LARGE)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, _wrap(handlers)),))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        servers.append(server)
    addresses = {"triton": f"127.0.0.1:{ports[0]}", "store": f"http://127.0.0.1:{ports[1]}"}
    print(json.dumps(addresses), flush=True)
    await asyncio.gather(*(server.wait_for_termination() for server in servers))


def _wrap(handlers: dict[str, Handler]) -> dict[str, Any]:
    """Handlers of bytes, as grpc wants them."""

    def make(handler: Handler) -> Any:
        async def answer(request: bytes, _context: Any) -> bytes:
            return await handler(request)

        return grpc.unary_unary_rpc_method_handler(answer)

    return {name: make(handler) for name, handler in handlers.items()}


@contextlib.contextmanager
def run_canned(models: Path, *, delay: float = 0.0, slots: int = 1, views: int = 1) -> Iterator[dict[str, str]]:
    """Both servers in a process of their own; `delay` in seconds. Gives their addresses, "triton" and "store"."""
    command = [sys.executable, __file__, "--models", str(models), "--delay", str(delay * 1000), "--slots", str(slots)]
    command += ["--views", str(views)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the canned servers did not start")
            yield json.loads(line)
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_repository"))
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds that a model takes for a request")
    parser.add_argument("--slots", type=int, default=1, help="requests that a model works on at once")
    parser.add_argument("--views", type=int, default=1, help="pictures of a product")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.models, delay=options.delay / 1000, slots=options.slots, views=options.views))


if __name__ == "__main__":
    main()
