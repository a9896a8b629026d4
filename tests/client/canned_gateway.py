"""A gateway that answers what it was told to: it stands in for the service where only the SDK is looked at."""

import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from sosie.v1 import product_pb2, visual_search_pb2, visual_search_pb2_grpc

SPACE = visual_search_pb2.EmbeddingSpace(
    name="mini-3f2a9c01b7d4",
    parts=[
        visual_search_pb2.EmbeddingPart(name="look", size=256, weight=1),
        visual_search_pb2.EmbeddingPart(name="colour", size=48, weight=0.5),
        visual_search_pb2.EmbeddingPart(name="words", size=384),
    ],
)

BOOT = product_pb2.Product(
    shop="brno",
    product_id="B/1",
    title="Chelsea boot",
    brand="Ådal",
    category_path=["Women", "Shoes"],
    price=product_pb2.Price(currency_code="EUR", units=89, nanos=900_000_000),
    url="https://brno.example/b1",
    pictures=[
        product_pb2.Picture(id="front", url="https://brno.example/b1-front.jpg", view="front"),
        product_pb2.Picture(id="back"),
    ],
    availability=product_pb2.IN_STOCK,
    attributes={"colour": "black"},
    description="Goes with everything.",
    update_time=Timestamp(seconds=1_790_000_000),
)
HOSTILE = product_pb2.Product(
    shop="brno",
    product_id="X",
    title="<script>alert(1)</script>\x1b[2J 靴",
    brand='"><img src=x>',
    price=product_pb2.Price(currency_code="JPY", units=12_000),
    url="javascript:alert(1)",
)

HITS = [
    visual_search_pb2.Hit(
        product=BOOT,
        score=0.93,
        similarity=0.8,
        picture=visual_search_pb2.PictureMatch(id="front", url="https://brno.example/b1-front.jpg", score=0.93),
        pictures=[
            visual_search_pb2.PictureMatch(id="front", url="https://brno.example/b1-front.jpg", score=0.93),
            visual_search_pb2.PictureMatch(id="back", score=0.3),
        ],
        shares=[
            visual_search_pb2.PartShare(part="look", share=0.85, cosine=0.9),
            visual_search_pb2.PartShare(part="colour", share=-0.05, cosine=-0.1),
        ],
    ),
    visual_search_pb2.Hit(
        product=HOSTILE,
        score=0.25,
        similarity=0.25,
        picture=visual_search_pb2.PictureMatch(id="1", url="javascript:1", score=0.25),
    ),
]

STEP_TIMES = [
    visual_search_pb2.StepTime(step="decode", duration=Duration(nanos=4_000_000)),
    visual_search_pb2.StepTime(step="search", duration=Duration(nanos=8_000_000)),
]

CLASSIFICATIONS = [
    visual_search_pb2.Classification(
        label_set="imagenet",
        labels=[
            visual_search_pb2.LabelScore(label="running shoe", score=0.7),
            visual_search_pb2.LabelScore(label="sandal", score=0.3),
        ],
    )
]

REFUSED = b"\xff\xd8\xff refused"
"""A picture that the gateway says cannot be decoded."""


def status(code: grpc.StatusCode, message: str, *details: Message) -> Any:
    """A status as gateways send it, for `context.abort_with_status`."""
    packed = []
    for detail in details:
        wrapped = AnyMessage()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return rpc_status.to_status(status_pb2.Status(code=code.value[0], message=message, details=packed))


def invalid(field: str, problem: str) -> Any:
    """INVALID_ARGUMENT with the faulty field."""
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=problem)
    return status(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field}: {problem}",
        error_details_pb2.ErrorInfo(domain="sosie.v1", reason="INVALID_INPUT"),
        error_details_pb2.BadRequest(field_violations=[violation]),
    )


@dataclass
class CannedGateway(visual_search_pb2_grpc.VisualSearchServiceServicer):
    """Answers with `hits` and `classifications`, in `space`, or with the status `failure`; keeps the `requests` it got.

    `received` is set with the first of them. While `hold` is cleared, calls wait.
    """

    address: str = ""
    hits: Sequence[visual_search_pb2.Hit] = tuple(HITS)
    space: visual_search_pb2.EmbeddingSpace = field(
        default_factory=lambda: visual_search_pb2.EmbeddingSpace.FromString(SPACE.SerializeToString())
    )
    failure: Any = None
    requests: list[Any] = field(default_factory=list)
    received: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event = field(default_factory=threading.Event)

    def Classify(  # noqa: N802 - the contract's name
        self, request: visual_search_pb2.ClassifyRequest, context: grpc.ServicerContext
    ) -> visual_search_pb2.ClassifyResponse:
        self._receive(request, context)
        return visual_search_pb2.ClassifyResponse(
            classifications=CLASSIFICATIONS, space=self.space, step_times=STEP_TIMES
        )

    def SearchByImage(  # noqa: N802 - the contract's name
        self, request: visual_search_pb2.SearchByImageRequest, context: grpc.ServicerContext
    ) -> visual_search_pb2.SearchByImageResponse:
        self._receive(request, context)
        return visual_search_pb2.SearchByImageResponse(hits=self.hits, space=self.space, step_times=STEP_TIMES)

    def SearchByText(  # noqa: N802 - the contract's name
        self, request: visual_search_pb2.SearchByTextRequest, context: grpc.ServicerContext
    ) -> visual_search_pb2.SearchByTextResponse:
        self._receive(request, context)
        return visual_search_pb2.SearchByTextResponse(hits=self.hits, space=self.space, step_times=STEP_TIMES)

    def _receive(self, request: Any, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.received.set()
        self.hold.wait(timeout=30)
        if "image" in request.DESCRIPTOR.fields_by_name and request.image.data == REFUSED:
            context.abort_with_status(invalid("image.data", "cannot be decoded"))
        if self.failure is not None:
            context.abort_with_status(self.failure)


@contextmanager
def serve() -> Iterator[CannedGateway]:
    """A canned gateway on a free port of this machine."""
    gateway = CannedGateway()
    gateway.hold.set()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=4),
        options=[("grpc.max_receive_message_length", 21 * 2**20), ("grpc.so_reuseport", 0)],
    )
    visual_search_pb2_grpc.add_VisualSearchServiceServicer_to_server(gateway, server)
    gateway.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield gateway
    finally:
        gateway.hold.set()
        server.stop(grace=None).wait(timeout=10)
