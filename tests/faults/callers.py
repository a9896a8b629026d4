"""Questions that keep coming, and what became of each."""

import asyncio
import io
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc.aio
import numpy as np
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from gateway_shop import draw
from sosie.gateway.errors import RULES
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

MARGIN = 0.5
"""Seconds that a call may end after its deadline: the callers share two cores with all that they call."""

TOLD = {(rule.code, rule.reason) for rule in RULES.values() if rule.code is not grpc.StatusCode.INTERNAL}
"""What a caller may be told."""

ALONE = (("grpc.use_local_subchannel_pool", 1),)
"""Makes a channel's connection its own: others of the process to the same address would share it."""

_PAUSE = 0.02  # seconds between a caller's calls

Ask = Callable[[Any, float], Any]
"""Begins a call with a deadline in seconds, on a stub."""


def draw_noise(side: int) -> bytes:
    """A JPEG of random pixels: some 40 kB for a side of 160."""
    file = io.BytesIO()
    pixels = np.random.default_rng(2).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


_SHOP = pb.SearchOptions(filter=pb.Filter(shops=["shop"]))
TEXT = pb.SearchByTextRequest(sentence="red shoe", options=_SHOP)
IMAGE = pb.SearchByImageRequest(image=pb.Image(data=draw("green", "hat")), options=_SHOP)
INDEXED = pb.SearchByImageRequest(
    image=pb.Image(indexed=pb.IndexedPicture(shop="shop", product_id="red-shoe")), options=_SHOP
)
CLASSIFY = pb.ClassifyRequest(image=pb.Image(data=draw("blue", "hat")), label_sets=[pb.LabelSet(served="hue")], top_k=3)

BIG_PICTURE = pb.SearchByImageRequest(image=pb.Image(data=draw_noise(160)), options=_SHOP)
LONG_ANSWER = pb.SearchByTextRequest(sentence="red hat", options=pb.SearchOptions(filter=pb.Filter(shops=["archive"])))

QUESTIONS: dict[str, Ask] = {
    "text": lambda stub, deadline: stub.SearchByText(TEXT, timeout=deadline),
    "image": lambda stub, deadline: stub.SearchByImage(IMAGE, timeout=deadline),
    "indexed": lambda stub, deadline: stub.SearchByImage(INDEXED, timeout=deadline),
    "classify": lambda stub, deadline: stub.Classify(CLASSIFY, timeout=deadline),
    "big picture": lambda stub, deadline: stub.SearchByImage(BIG_PICTURE, timeout=deadline),
    "long answer": lambda stub, deadline: stub.SearchByText(LONG_ANSWER, timeout=deadline),
}

COMMON = ("text", "image", "indexed", "classify")
"""Those that are asked where nothing else is said: `indexed` needs Milvus alone, `classify` Triton alone."""


@dataclass(frozen=True)
class Outcome:
    """How a call ended. `reason` is that of its ErrorInfo: "" where it carries none."""

    question: str
    began: float
    seconds: float
    code: grpc.StatusCode
    reason: str
    answer: Any

    @property
    def is_ok(self) -> bool:
        return self.code is grpc.StatusCode.OK


async def ask(stub: Any, question: str, deadline: float) -> Outcome:
    """Asks once and waits for the end, whatever it is."""
    began = time.monotonic()
    answer, code, reason = None, grpc.StatusCode.OK, ""
    try:
        answer = await QUESTIONS[question](stub, deadline)
    except grpc.aio.AioRpcError as error:
        code, reason = error.code(), read_reason(error)
    return Outcome(question, began, time.monotonic() - began, code, reason, answer)


def read_reason(error: grpc.aio.AioRpcError) -> str:
    """The reason in an error's ErrorInfo, "" where it has none."""
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]  # it reads what both kinds of call have
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def settle(answer: Any) -> Any:
    """An answer without its times, which no two calls share."""
    if answer is not None:
        answer.ClearField("step_times")
    return answer


def must_be_told(outcomes: Collection[Outcome], deadline: float) -> None:
    """Nobody waited past the deadline, and whoever failed was told by the table.

    A client's own clock may end a call just before the gateway does: then there is no reason.
    """
    for outcome in outcomes:
        assert outcome.seconds < deadline + MARGIN, outcome
        by_own_clock = outcome.code is grpc.StatusCode.DEADLINE_EXCEEDED and not outcome.reason
        assert outcome.is_ok or by_own_clock or (outcome.code, outcome.reason) in TOLD, outcome


class Callers:
    """Callers, one for each name in `questions`, that ask one call after the other; a connection for all of them."""

    def __init__(self, address: str, *, deadline: float, questions: Collection[str] = COMMON) -> None:
        self.outcomes: list[Outcome] = []
        self._channel = grpc.aio.insecure_channel(address, options=ALONE)
        self._deadline = deadline
        self._questions = questions
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def since(self, moment: float) -> list[Outcome]:
        """The calls that began after a moment of the monotonic clock."""
        return [outcome for outcome in self.outcomes if outcome.began > moment]

    async def until(self, condition: Callable[[list[Outcome]], bool], *, limit: float) -> None:
        """Waits until a condition holds of the calls that begin from now on."""
        now = time.monotonic()
        async with asyncio.timeout(limit), self._changed:
            await self._changed.wait_for(lambda: condition(self.since(now)))

    async def until_all_asked(self, *, limit: float) -> None:
        """Waits until a call of each caller, begun from now on, has ended, however."""
        wanted = Counter(self._questions)
        await self.until(lambda later: wanted <= Counter(outcome.question for outcome in later), limit=limit)

    async def until_all_answered(self, *, limit: float) -> None:
        """Waits until each caller has had an answer to a call begun from now on."""
        wanted = Counter(self._questions)
        await self.until(lambda later: wanted <= Counter(o.question for o in later if o.is_ok), limit=limit)

    async def __aenter__(self) -> Self:
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(self._channel)
        self._tasks = [asyncio.create_task(self._ask(stub, question)) for question in self._questions]
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close(None)
        failed = [error for error in done if isinstance(error, Exception)]
        assert not failed, failed

    async def _ask(self, stub: Any, question: str) -> None:
        while True:
            outcome = await ask(stub, question, self._deadline)
            async with self._changed:
                self.outcomes.append(outcome)
                self._changed.notify_all()
            await asyncio.sleep(_PAUSE)
