"""Waits for calls of grpc.aio so that one which is cancelled leaves nothing behind."""

import asyncio
from typing import Any


async def finish(call: Any) -> Any:
    """The reply of a unary call; raises as `await call` does. Whoever is cancelled cancels the call too.

    A plain `await` that is cancelled drops the batch of operations that the call has at gRPC's core, whose memory is
    then never freed: 0.7 to 1.7 KB for each such call (grpcio 1.85.1, grpc#43360). So the task that waits for the batch
    is left to see its end, which comes at once when the core is told to cancel. Both names are grpc.aio's own; the
    release is pinned, and the test of this module fails where they change.
    """
    try:
        await asyncio.shield(call._invocation_task)  # noqa: SLF001
    except asyncio.CancelledError:
        call._cancel("nobody waits for the reply any more")  # noqa: SLF001
        raise
    return await call
