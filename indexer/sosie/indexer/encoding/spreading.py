"""One encoder made of several servers that hold the same models: each gets what it can take."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sosie.engine.errors import BackendOverloadedError, BackendTimeoutError, BackendUnavailableError, EngineError
from sosie.engine.inference import Encoder, Pictures, Tokens
from sosie.engine.space import Parts
from sosie.indexer.encoding.window import Window

FIRST_REST, LONGEST_REST = 0.5, 8.0
"""Seconds for which a server that failed is not asked while another can be: doubled with each failure in a row."""

_Ask = Callable[[Encoder], Awaitable[Parts]]


class Gate(Protocol):
    """Holds requests back while others need the servers more."""

    @property
    def paused_seconds(self) -> float:
        """For how long it has done so."""
        ...

    async def wait_until_open(self) -> None: ...

    def release(self) -> None:
        """Holds nothing back any more."""
        ...


class OpenGate:
    """Holds nothing back."""

    paused_seconds = 0.0

    async def wait_until_open(self) -> None:
        return

    def release(self) -> None:
        return


@dataclass
class Replica:
    """A server, with a window for each of its two models: they have queues of their own."""

    address: str
    encoder: Encoder
    images: Window = field(default_factory=Window)
    texts: Window = field(default_factory=Window)
    failures: int = 0
    rests_until: float = 0.0

    def rest(self, now: float) -> None:
        self.rests_until = now + min(LONGEST_REST, FIRST_REST * 2**self.failures)
        self.failures += 1


class SpreadEncoder:
    """An Encoder over servers of the same space, of which there must be one at least.

    Cuts what it is given into requests of the size that the models take, and sends each to the server with most room,
    within its window. A request that fails is not sent again here: the server rests for a while, and who tries again
    reaches another one.
    """

    def __init__(
        self, encoders: Mapping[str, Encoder], gate: Gate | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`encoders` by their addresses."""
        first = next(iter(encoders.values()))
        self.space = first.space
        self.image_input = first.image_input
        self.text_input = first.text_input
        self.max_pictures = min(encoder.max_pictures for encoder in encoders.values())
        self.max_sentences = min(encoder.max_sentences for encoder in encoders.values())
        self.replicas = [Replica(address, encoder) for address, encoder in encoders.items()]
        self._gate = gate or OpenGate()
        self._clock = clock
        self._changed = asyncio.Condition()

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        async def ask(piece: Pictures) -> Parts:
            return await self._send(lambda encoder: encoder.encode_images(piece, timeout=timeout), _images)

        return await _ask_in_pieces(pictures, self.max_pictures, ask)

    async def encode_texts(self, tokens: Tokens, *, timeout: float) -> Parts:
        async def ask(piece: Tokens) -> Parts:
            return await self._send(lambda encoder: encoder.encode_texts(piece, timeout=timeout), _texts)

        return await _ask_in_pieces(tokens, self.max_sentences, ask)

    async def replace(self, encoders: Mapping[str, Encoder]) -> None:
        """Goes on with these servers, by their addresses; those that were there already keep what is known of them."""
        known = {replica.address: replica for replica in self.replicas}
        async with self._changed:
            self.replicas = [known.get(address) or Replica(address, encoder) for address, encoder in encoders.items()]
            self._changed.notify_all()

    def hurry(self) -> None:
        """Stands back for nobody any more: what is under way is to be finished."""
        self._gate.release()

    def describe(self) -> dict[str, Any]:
        """How much was under way at once in the end, by address, and how long all stood back: JSON types only."""
        servers = {
            replica.address: {"images_in_flight": replica.images.limit, "texts_in_flight": replica.texts.limit}
            for replica in self.replicas
        }
        return {"servers": servers, "paused_seconds": round(self._gate.paused_seconds, 3)}

    async def _send(self, ask: _Ask, window_of: Callable[[Replica], Window]) -> Parts:
        await self._gate.wait_until_open()
        async with self._changed:
            await self._changed.wait_for(lambda: self._choose(window_of) is not None)
            replica = self._choose(window_of)
            assert replica is not None  # noqa: S101 -- it was waited for, and nobody came between
            window = window_of(replica)
            window.begin()
        start = self._clock()
        try:
            parts = await ask(replica.encoder)
        except BaseException as error:
            self._note_failure(replica, window, error)
            raise
        else:
            window.succeed(self._clock() - start)
            replica.failures = 0
            return parts
        finally:
            async with self._changed:
                self._changed.notify_all()

    def _choose(self, window_of: Callable[[Replica], Window]) -> Replica | None:
        """The server with most room; None where all that may be asked have none."""
        now = self._clock()
        awake = [replica for replica in self.replicas if replica.rests_until <= now]
        # Where all of them rest, who asks nevertheless has waited already.
        candidates = awake or sorted(self.replicas, key=lambda replica: replica.rests_until)[:1]
        free = [replica for replica in candidates if window_of(replica).has_room]
        return min(free, key=lambda replica: window_of(replica).load, default=None)

    def _note_failure(self, replica: Replica, window: Window, error: BaseException) -> None:
        if isinstance(error, BackendOverloadedError | BackendTimeoutError):
            window.refuse()
        else:
            window.end()
        if isinstance(error, BackendUnavailableError | BackendTimeoutError):
            replica.rest(self._clock())


def _images(replica: Replica) -> Window:
    return replica.images


def _texts(replica: Replica) -> Window:
    return replica.texts


async def _ask_in_pieces(
    rows: npt.NDArray[Any], most: int, ask: Callable[[npt.NDArray[Any]], Awaitable[Parts]]
) -> Parts:
    """What all pieces of at most `most` rows come to. Raises the first error of one, and gives up the others."""
    pieces = [rows[start : start + most] for start in range(0, len(rows), most)]
    if len(pieces) == 1:
        return await ask(pieces[0])
    try:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(_as_coroutine(ask(piece))) for piece in pieces]
    except* EngineError as failures:
        raise failures.exceptions[0] from failures
    answers = [task.result() for task in asking]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


async def _as_coroutine(answer: Awaitable[Parts]) -> Parts:
    return await answer
