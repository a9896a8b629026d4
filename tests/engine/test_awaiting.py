"""Calls of grpc.aio that are awaited, and given up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from sosie.engine.awaiting import finish

LIMIT = 10.0


class Server:
    """Answers `echo` at once; `hang` never, and notes when it was begun and when it was cancelled."""

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()

    async def echo(self, request: bytes, _context: Any) -> bytes:
        return request

    async def refuse(self, _request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no")
        raise AssertionError

    async def hang(self, _request: bytes, _context: Any) -> bytes:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    listening = grpc.aio.server()
    handlers = {name: grpc.unary_unary_rpc_method_handler(getattr(server, name)) for name in ("echo", "refuse", "hang")}
    listening.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    port = listening.add_insecure_port("127.0.0.1:0")
    await listening.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await listening.stop(None)


async def test_replies_and_errors_come_as_usual(channel: grpc.aio.Channel) -> None:
    """A reply is given back, an error and a deadline that passed are raised."""
    assert await finish(channel.unary_unary("/test/echo", None, None)(b"1", timeout=LIMIT)) == b"1"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await finish(channel.unary_unary("/test/refuse", None, None)(b"", timeout=LIMIT))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await finish(channel.unary_unary("/test/hang", None, None)(b"", timeout=0.05))
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_cancelled_call_is_seen_to_its_end(channel: grpc.aio.Channel, server: Server) -> None:
    """Who is cancelled is so at once, the server hears of it, and the call's own task ends by itself: nothing leaks."""
    call: Any = channel.unary_unary("/test/hang", None, None)(b"", timeout=LIMIT)
    waiting = asyncio.create_task(finish(call))
    await asyncio.wait_for(server.begun.wait(), LIMIT)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(server.cancelled.wait(), LIMIT)
    await asyncio.wait_for(asyncio.wait([call._invocation_task]), LIMIT)
    assert not call._invocation_task.cancelled()
    assert call.cancelled()
