"""What callers see when a real part dies under load."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sosie.client import Client, SosieError, Unavailable
from stack_fixtures import Served

pytestmark = pytest.mark.slow

CALLERS = 4
REPAIR_LIMIT = 10.0
"""Seconds after a kill within which answers come again."""


@dataclass
class Load:
    """Callers that search all the time, and when each was answered or refused."""

    address: str
    photo: Path
    answered: list[float] = field(default_factory=list)
    failed: list[tuple[float, SosieError]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with Client(self.address, timeout=5) as client:
            while not self.stopping.is_set():
                try:
                    hits = client.search_by_image(self.photo).hits
                    assert hits
                    self.answered.append(time.monotonic())
                except SosieError as error:
                    self.failed.append((time.monotonic(), error))
                    self.stopping.wait(0.05)

    def wait_for_answer(self, since: float, limit: float) -> float:
        """Seconds from `since` to the first answer after it."""
        while time.monotonic() < since + limit:
            later = [moment for moment in list(self.answered) if moment > since]
            if later:
                return later[0] - since
            self.stopping.wait(0.05)
        raise AssertionError(f"no answer within {limit} s")


def test_killed_backend_under_load(served: Served) -> None:
    """After kill -9 of a process of the encoder's, answers resume within 10 s; whoever failed was told UNAVAILABLE."""
    path = served.shop.images / next(iter(served.shop.truth))
    load = Load(served.stack.addresses["gateway"], path)
    callers = [threading.Thread(target=load.run) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        load.wait_for_answer(time.monotonic(), 30)
        os.kill(min(served.stack.triton.find_stubs("mini_image")), signal.SIGKILL)
        killed = time.monotonic()
        while time.monotonic() < killed + REPAIR_LIMIT:
            load.stopping.wait(0.05)
    finally:
        load.stopping.set()
        for caller in callers:
            caller.join(30)
    assert {type(error) for _, error in load.failed} == {Unavailable}, "those whom the kill hit"
    last_failure = max(moment for moment, _ in load.failed)
    assert last_failure - killed < REPAIR_LIMIT
    assert any(last_failure < moment < killed + REPAIR_LIMIT for moment in load.answered)
