"""How late the event loop is: the time that passes between a thing's turn and its being done."""

import asyncio

_PERIOD = 0.05  # seconds between two looks: twenty wake-ups a second cost nothing
_FADING = 0.8  # of a peak is left after each further look


class LoopLag:
    """`seconds` that what is ready waits for the loop now: the latest peak, which fades within half a second.

    A loop that lags holds each call twice, before its handler begins and before its answer leaves; no handler sees the
    second in its own times.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    async def watch(self) -> None:
        """Measures for ever."""
        loop = asyncio.get_running_loop()
        while True:
            wanted = loop.time() + _PERIOD
            await asyncio.sleep(_PERIOD)
            self.seconds = max(loop.time() - wanted, self.seconds * _FADING)
