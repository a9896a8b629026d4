"""`sosie index` in a process of its own that can be killed at any of its steps.

It says `ready` on stderr, waits for its arguments as JSON on stdin, and then says `step` before and after whatever
leaves something behind: each request to Milvus, and each file that is brought to the disk. Chunks and writes are small,
so that a short catalog has many of them.
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from sosie.engine import milvus_collection
from sosie.engine.milvus_admin import ThreadedClient
from sosie.engine.milvus_channel import MilvusChannel
from sosie.indexer import command, job, session, writing  # noqa: F401 - the session, so that it is ready

CHUNK = 24
ROWS = 12


def say(word: str) -> None:
    """Without a buffer: what is said is out before the next thing happens."""
    os.write(2, f"{word}\n".encode())


def tell_call(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def telling(*arguments: Any, **options: Any) -> Any:
        say("step")
        answer = await method(*arguments, **options)
        say("step")
        return answer

    return telling


def is_settled(client: object, name: str, timeout: float) -> bool:
    """In place of the engine's: a server takes ten seconds to search what was flushed by its own index."""
    return True


def tell_disk(function: Callable[..., None]) -> Callable[..., None]:
    def telling(file: int) -> None:
        say("step")
        function(file)
        say("step")

    return telling


if __name__ == "__main__":
    small: Any = job
    for owner, name in ((MilvusChannel, "call"), (ThreadedClient, "run")):
        setattr(owner, name, tell_call(getattr(owner, name)))
    at_once: Any = milvus_collection
    at_once.is_settled = is_settled
    os.fsync = tell_disk(os.fsync)
    small.CHUNK = CHUNK
    small.MAX_ROWS = writing.MAX_ROWS = ROWS
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    say("ready")
    arguments = parser.parse_args(json.loads(sys.stdin.readline()))
    status = command.run(arguments)
    say("done")
    sys.stdin.read()  # stays, so that it can be killed at its last step
    sys.exit(status)
