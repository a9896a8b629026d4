"""The supervisor, over a real Triton whose processes are killed and stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as tritonclient
from tritonclient.utils import InferenceServerException

import tiny_models
from local.load import Load
from sosie.local.errors import GaveUpError
from sosie.local.processes import Child, ProcessStat, find_owned, find_regions, make_tag, read_run_delay
from sosie.local.services import Service
from sosie.local.supervisor import Attempts, Limits, Supervisor
from sosie.local.triton import LocalTriton
from sosie.local.waiting import wait_until

PROMISE = 10.0
"""Seconds after which answers have to come again."""


@contextmanager
def watching(supervisor: Supervisor) -> Iterator[list[GaveUpError]]:
    """Runs a supervisor in a thread; the list gets the error with which it gave up."""
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            supervisor.run(stop)
        except GaveUpError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        stop.set()
        thread.join(60)


@pytest.fixture
def triton(tiny_repository: Path, tmp_path: Path) -> Iterator[LocalTriton]:
    """A Triton that may be broken."""
    with LocalTriton(tiny_repository, tmp_path) as triton:
        yield triton


def test_starts_come_at_growing_intervals_and_end() -> None:
    """The first start is due at once, further ones after 1, 2, 4 s; the sixth within the window never."""
    now = 100.0
    attempts = Attempts("the thing", Limits(attempts=5, window=60, backoff=1), clock=lambda: now)
    started: list[float] = []
    while len(started) < 5:
        if attempts.is_due():
            attempts.note()
            started.append(now)
        now += 0.5
    assert started == [100, 101, 103, 107, 115]
    with pytest.raises(GaveUpError, match="the thing broke 6 times within 60 s"):
        attempts.is_due()
    now = started[-1] + 61  # all are forgotten
    assert attempts.is_due()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("whom", ["one process", "all processes", "server"])
def test_answers_come_again_on_the_same_port(triton: LocalTriton, number: signal.Signals, whom: str) -> None:
    """A killed or hanging backend process, or server, is replaced within the promised time, under load."""
    said: list[str] = []
    supervisor = Supervisor(triton, say=said.append)
    with Load(triton.grpc_address) as load, watching(supervisor) as errors:
        assert load.wait_for_answers(limit=PROMISE) is not None
        stubs = sorted(triton.stubs("image"))
        victims = {"one process": stubs[:1], "all processes": stubs, "server": [triton.server.pid]}[whom]
        end = time.monotonic() + PROMISE
        for victim in victims:
            os.kill(victim, number)
        if whom != "one process":
            assert wait_until(lambda: load.errors.total() > 0, limit=PROMISE)
        assert wait_until(lambda: supervisor.repairs > 0, limit=PROMISE)
        assert load.wait_for_answers(limit=end - time.monotonic()) is not None, said
        # Nothing of what was broken is left, and nothing fails any more.
        assert wait_until(lambda: all(ProcessStat.read(victim) is None for victim in victims), limit=PROMISE)
        assert wait_until(lambda: triton.stubs("image") == triton.find_stubs("image") != set(stubs), limit=PROMISE)
    assert errors == []
    assert load.errors.keys() <= {"INTERNAL", "UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED"}


@pytest.mark.slow
def test_a_slow_model_is_not_sick(tmp_path: Path) -> None:
    """An inference that takes longer than a model may stall is waited for while its process works."""
    tiny_models.write_model(tmp_path / "repository" / "slow", tiny_models.slow_graph(), tiny_models.SLOW_CONFIG)
    limits = Limits(interval=0.05, max_interval=0.05, stall=0.5)
    with LocalTriton(tmp_path / "repository", tmp_path) as triton:
        stub = triton.stubs("slow")
        supervisor = Supervisor(triton, limits=limits)
        with watching(supervisor):
            assert wait_until(lambda: read_busy_seconds(stub) > 4, limit=60)
        assert supervisor.repairs == 0
        assert triton.stubs("slow") == stub


@pytest.mark.slow
def test_a_starved_model_is_not_sick(tmp_path: Path) -> None:
    """An inference whose process gets no processor, because others keep it busy, is waited for."""
    tiny_models.write_model(tmp_path / "repository" / "slow", tiny_models.slow_graph(), tiny_models.SLOW_CONFIG)
    limits = Limits(interval=0.05, max_interval=0.05, stall=0.5)
    processor = min(os.sched_getaffinity(0))
    with LocalTriton(tmp_path / "repository", tmp_path) as triton, contextlib.ExitStack() as hogs:
        stubs = triton.stubs("slow")
        for stub in stubs:
            for thread in Path(f"/proc/{stub}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {processor})
                os.setpriority(os.PRIO_PROCESS, int(thread.name), 19)
        for _ in range(3):
            hog = hogs.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            hogs.callback(hog.kill)
            os.sched_setaffinity(hog.pid, {processor})
        supervisor = Supervisor(triton, limits=limits)
        with watching(supervisor):
            assert wait_until(lambda: sum(map(read_run_delay, stubs)) > 4, limit=60)
        assert supervisor.repairs == 0
        assert triton.stubs("slow") == stubs


HANGING_MODEL = """
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        if any(request.request_id() == "hang" for request in requests):
            time.sleep(3600)
        return [
            pb_utils.InferenceResponse([
                pb_utils.Tensor.from_dlpack("out", pb_utils.get_input_tensor_by_name(request, "in").to_dlpack())
            ])
            for request in requests
        ]
"""
HANGING_CONFIG = """
backend: "python"
input [ { name: "in" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "out" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 } ]
"""


@pytest.mark.slow
def test_a_model_that_hangs_is_noticed_by_its_silence(tmp_path: Path) -> None:
    """A process that is there, runs and reports itself healthy, but never answers, is replaced."""
    folder = tmp_path / "repository" / "hanging"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(HANGING_CONFIG)
    (folder / "1" / "model.py").write_text(HANGING_MODEL)
    (folder / "1" / "model.onnx").touch()  # so that it counts as a model with weights
    with LocalTriton(tmp_path / "repository", tmp_path) as triton:
        said: list[str] = []
        supervisor = Supervisor(triton, say=said.append)
        stubs = triton.stubs("hanging")
        with watching(supervisor) as errors, tritonclient.InferenceServerClient(triton.grpc_address) as client:
            tensor = tritonclient.InferInput("in", [1], "FP32")
            tensor.set_data_from_numpy(np.ones(1, np.float32))
            assert client.infer("hanging", [tensor], client_timeout=PROMISE).as_numpy("out") == 1
            with pytest.raises(InferenceServerException):
                client.infer("hanging", [tensor], request_id="hang", client_timeout=PROMISE)
            assert wait_until(lambda: triton.stubs("hanging").isdisjoint(stubs), limit=PROMISE)
            assert client.infer("hanging", [tensor], client_timeout=PROMISE).as_numpy("out") == 1
        assert errors == []
        assert "and does no work" in said[0]


def read_busy_seconds(pids: frozenset[int]) -> float:
    stats = [ProcessStat.read(pid) for pid in pids]
    return sum(stat.cpu_ticks for stat in stats if stat) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(
        name="the clock",
        address="",
        command=(sys.executable, "-c", "import time; time.sleep(300)"),
        log=tmp_path / "clock.log",
        tag=make_tag(),
        answers=lambda _address: True,
        grace=5,
    )
    yield service
    service.stop()


@pytest.mark.slow
def test_a_dead_service_is_started_again(tiny_triton: LocalTriton, service: Service) -> None:
    """A neighbour of Triton that was killed runs again under the same command."""
    service.start()
    first = service.child
    assert first is not None
    said: list[str] = []
    with watching(Supervisor(tiny_triton, [service], say=said.append)):
        os.kill(first.pid, signal.SIGKILL)
        assert wait_until(lambda: is_another(service.child, first), limit=PROMISE)
    assert said == ["the clock killed by SIGKILL: starting it again"]


def is_another(child: Child | None, first: Child) -> bool:
    return child is not None and child.pid != first.pid and child.is_alive


@pytest.mark.slow
def test_what_dies_again_and_again_is_given_up(tiny_triton: LocalTriton, service: Service) -> None:
    """A service that ends at once is started a bounded number of times."""
    service.command = ("false",)
    service.spawn()
    supervisor = Supervisor(tiny_triton, [service], limits=Limits(attempts=3, backoff=0.01))
    with pytest.raises(GaveUpError, match="the clock broke 4 times"):
        supervisor.run(threading.Event())
    assert supervisor.repairs == 3


@pytest.mark.slow
def test_killed_stubs_leave_no_shared_memory(triton: LocalTriton) -> None:
    """After a repair there are as many regions as processes."""
    tag = next(tag for pid, tag in find_owned() if pid == triton.server.pid)
    before = len(find_regions(tag))
    triton.reload("image", limit=PROMISE)
    assert len(find_regions(tag)) == before > 0
