"""How late the event loop is."""

import asyncio
import time

from sosie.gateway.lag import LoopLag


async def test_a_blocked_loop_is_seen_and_forgotten() -> None:
    """What blocks the loop shows as its lag, which fades when the loop is free again."""
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch())
    async with asyncio.timeout(10):
        await asyncio.sleep(0.06)
        time.sleep(0.3)  # noqa: ASYNC251 -- to block the loop is the point
        while lag.seconds < 0.1:  # noqa: ASYNC110 -- the lag is what is tested, an event would tell nothing of it
            await asyncio.sleep(0.01)
        peak = lag.seconds
        while lag.seconds > peak / 2:  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
