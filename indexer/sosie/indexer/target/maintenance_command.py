"""`sosie index rollback | collections | drop NAME`: looks after the collections that rebuilds leave."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sosie.engine.errors import EngineError, NoIndexError
from sosie.engine.generations import Generation, GenerationStore, State
from sosie.engine.milvus import MilvusStore
from sosie.indexer.encoding.servers import Servers
from sosie.indexer.target.options import Place
from sosie.indexer.target.state import open_state

_LOOK = 5.0  # seconds for a look at what Triton serves


def run(arguments: argparse.Namespace, place: Place) -> int:
    """Does what `arguments.catalog` names in place of a catalog. Raises EngineError and LockedError."""
    if place.store.endswith(".db") and not Path(place.store).exists():  # or opening it would make it
        raise NoIndexError(f"there is no index at {place.store}")
    work = {"rollback": _roll_back, "collections": _show, "drop": _drop}[str(arguments.catalog)]
    return asyncio.run(work(arguments, place))


async def _show(arguments: argparse.Namespace, place: Place) -> int:
    async with _open(place) as store:
        generations = await store.generations(timeout=arguments.timeout)
    if arguments.json:
        print(json.dumps([_as_dict(generation) for generation in generations], ensure_ascii=False))
    elif not generations:
        print(f"no collection of {place.collection} at {place.store}")
    else:
        widest = max(len(generation.collection.name) for generation in generations)
        for each in generations:
            print(
                f"{each.state:<9} {each.rows:>11,} rows  {each.collection.name:<{widest}}  {each.collection.space.name}"
            )
    return 0


async def _roll_back(arguments: argparse.Namespace, place: Place) -> int:
    with open_state(place.state, place.store, place.collection):
        async with _open(place) as store:
            generations = await store.generations(timeout=arguments.timeout)
            previous = next((each for each in generations if each.state is State.PREVIOUS), None)
            if previous is None:
                print(f"sosie index: {place.collection} has no previous collection to go back to", file=sys.stderr)
                return 1
            await store.switch(previous.collection.name, timeout=arguments.timeout)
    space = previous.collection.space.name
    if arguments.json:
        print(json.dumps({**_as_dict(previous), "state": State.LIVE}, ensure_ascii=False))
    else:
        print(f"live again: {previous.collection.name}, {previous.rows:,} rows, space {space}")
    if space not in await _find_spaces(place.triton, space):
        print(
            f"sosie index: warning: Triton at {place.triton} does not serve the space {space}: "
            "until it does, gateways there answer indexed pictures alone",
            file=sys.stderr,
        )
    return 0


async def _drop(arguments: argparse.Namespace, place: Place) -> int:
    name = arguments.name
    with open_state(place.state, place.store, place.collection):
        async with _open(place) as store:
            generations = await store.generations(timeout=arguments.timeout)
            found = next((each for each in generations if each.collection.name == name), None)
            if found is None:
                known = ", ".join(each.collection.name for each in generations) or "none"
                print(f"sosie index: {place.collection} has no collection {name!r}, only {known}", file=sys.stderr)
                return 1
            if found.state is State.LIVE:
                print(f"sosie index: {name} is live: roll back, or rebuild, first", file=sys.stderr)
                return 1
            await store.drop(name, timeout=arguments.timeout)
    print(json.dumps(_as_dict(found), ensure_ascii=False) if arguments.json else f"dropped {name}, {found.rows:,} rows")
    return 0


def _as_dict(generation: Generation) -> dict[str, str | int]:
    collection = generation.collection
    return {
        "name": collection.name,
        "state": generation.state,
        "rows": generation.rows,
        "space": collection.space.name,
    }


@asynccontextmanager
async def _open(place: Place) -> AsyncIterator[GenerationStore]:
    store = MilvusStore(place.store, place.collection)
    try:
        yield store
    finally:
        await store.close()


async def _find_spaces(triton: str, unknown: str) -> set[str]:
    """The embedding spaces that are served; `unknown` alone where that cannot be told."""
    servers = Servers(triton, _LOOK)
    try:
        await servers.connect()
        return set(servers.encoders())
    except EngineError:
        return {unknown}
    finally:
        await servers.close()
