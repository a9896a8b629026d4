"""The client: one method for each rpc of the contract."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import grpc

from sosie.client import conversion
from sosie.client.address import check_address
from sosie.client.errors import InvalidRequest
from sosie.client.questions import Crop, Filter, ImageSource
from sosie.client.results import ClassifyResult, SearchResult
from sosie.client.transport import Transport, check_timeout
from sosie.v1 import visual_search_pb2

DEFAULT_TIMEOUT = 10.0


class Client:
    """Asks a gateway at `address` ("host:port").

        with Client("localhost:50051") as client:
            for hit in client.search_by_image("shoe.jpg", sentence="in suede").hits:
                print(hit.score, hit.product.title, hit.product.url)

    Every call has a deadline: `timeout` seconds, unless the call names its own. Calls are never repeated here. One
    client serves any number of threads; it connects with its first call. `api_key` is sent with every call, in clear
    text unless there are `credentials`: gRPC's own, e.g. grpc.ssl_channel_credentials(). `channel_options` are gRPC's
    too and go before the SDK's.

    All methods raise SosieError (see sosie.client.errors), OSError where a picture's file cannot be read, and
    TypeError or ValueError for arguments that no message can hold.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        api_key: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        channel_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._timeout = check_timeout(timeout)
        self._transport = Transport(check_address(address), channel_options, api_key=api_key, credentials=credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. Calls after this raise ValueError."""
        self._transport.close()

    def classify(
        self,
        image: ImageSource,
        *,
        label_sets: Sequence[str] | None = None,
        labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        crop: Crop | tuple[float, float, float, float] | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> ClassifyResult:
        """Scores labels against a picture: those of served sets, of your own, or of every served set if none is named.

        `labels` are one set of your own, or several by name, e.g. {"material": ["suede", "leather"]}.
        """
        with _values_checked():
            request = visual_search_pb2.ClassifyRequest(
                image=conversion.image_message(image, crop),
                label_sets=conversion.label_set_messages(label_sets, labels),
                top_k=top_k,
            )
        stub = self._transport.stub
        return conversion.classify_result(self._transport.call(stub.Classify, request, timeout=self._limit(timeout)))

    def search_by_image(
        self,
        image: ImageSource,
        *,
        sentence: str | None = None,
        crop: Crop | tuple[float, float, float, float] | None = None,
        top_k: int | None = None,
        weights: Mapping[str, float] | None = None,
        filter: Filter | None = None,
        min_score: float | None = None,
        group_by_product: bool | None = None,
        explain: bool = False,
        timeout: float | None = None,
    ) -> SearchResult:
        """Finds products that look like a picture, or like it but as `sentence` says ("in suede").

        `weights` say how much each part of the embedding counts, e.g. {"colour": 3}. What is None is left to the
        gateway: its defaults are in the contract.
        """
        with _values_checked():
            request = visual_search_pb2.SearchByImageRequest(
                image=conversion.image_message(image, crop),
                sentence=sentence,
                options=conversion.options_message(
                    top_k=top_k,
                    weights=weights,
                    filter=filter,
                    min_score=min_score,
                    group_by_product=group_by_product,
                    explain=explain,
                ),
            )
        stub = self._transport.stub
        return conversion.search_result(self._transport.call(stub.SearchByImage, request, timeout=self._limit(timeout)))

    def search_by_text(
        self,
        sentence: str,
        *,
        top_k: int | None = None,
        weights: Mapping[str, float] | None = None,
        filter: Filter | None = None,
        min_score: float | None = None,
        group_by_product: bool | None = None,
        explain: bool = False,
        timeout: float | None = None,
    ) -> SearchResult:
        """Finds products that fit a sentence; options as for pictures."""
        with _values_checked():
            request = visual_search_pb2.SearchByTextRequest(
                sentence=sentence,
                options=conversion.options_message(
                    top_k=top_k,
                    weights=weights,
                    filter=filter,
                    min_score=min_score,
                    group_by_product=group_by_product,
                    explain=explain,
                ),
            )
        stub = self._transport.stub
        return conversion.search_result(self._transport.call(stub.SearchByText, request, timeout=self._limit(timeout)))

    def _limit(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else check_timeout(timeout)


@contextmanager
def _values_checked() -> Iterator[None]:
    """Says in the SDK's words that a value does not fit its field: a number too large, text that is not Unicode."""
    try:
        yield
    except InvalidRequest:
        raise
    except ValueError as error:
        raise InvalidRequest(f"a value does not fit its field: {error}") from error
