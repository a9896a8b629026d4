"""Requests that keep coming, and what became of them."""

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

import numpy as np
import tritonclient.grpc as tritonclient
from tritonclient.utils import InferenceServerException

from sosie.local.waiting import wait_until

REQUEST_LIMIT = 2.0
CLIENTS = 4


class Load:
    """Clients that each send one request after the other to the tiny model `image`.

    `answers` counts the good ones, `errors` the others by their gRPC status; an answer with a wrong value is an error
    named WRONG.
    """

    def __init__(self, address: str) -> None:
        self.answers = 0
        self.errors: Counter[str] = Counter()
        self._address = address
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def wait_for_answers(self, *, limit: float) -> float | None:
        """Seconds until every client could have had an answer again, None where `limit` passed first."""
        began, wanted = time.monotonic(), self.answers + CLIENTS
        if wait_until(lambda: self.answers >= wanted, limit=limit):
            return time.monotonic() - began
        return None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10 * REQUEST_LIMIT)

    def _ask(self, number: int) -> None:
        tensor = tritonclient.InferInput("image", [1, 8, 8, 3], "UINT8")
        tensor.set_data_from_numpy(np.full((1, 8, 8, 3), number, np.uint8))
        with tritonclient.InferenceServerClient(self._address) as client:
            while not self._stop.is_set():
                try:
                    mean = client.infer("image", [tensor], client_timeout=REQUEST_LIMIT).as_numpy("mean")
                except InferenceServerException as error:
                    self._count(str(error.status()).removeprefix("StatusCode."))
                    self._stop.wait(0.05)  # a refused connection answers at once
                else:
                    self._count(None if (mean == number).all() else "WRONG")

    def _count(self, error: str | None) -> None:
        with self._lock:
            if error is None:
                self.answers += 1
            else:
                self.errors[error] += 1
