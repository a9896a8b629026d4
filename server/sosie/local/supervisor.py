"""Keeps Triton and its neighbours answering.

What it knows of a model's health:

1. A process that held the model is gone, or stopped. Triton never notices: it says ready and fails every request.
2. An inference fails in a way that is not mere overload.
3. An inference is not answered, and meanwhile the model's processes did no work. Slow is not sick: a deep queue or a
   large batch on a busy machine keeps a probe waiting, but then the processes burn CPU time. Starved is not sick: on a
   machine that others keep busy they, or the server before them, stand in the queue for a processor.
4. An inference is not answered for long, whatever the processes do.

It repairs by killing the model's processes and loading it anew. Where that does not help, it restarts the server on
the same ports. What breaks again and again is started at growing intervals, and then no more.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from sosie.local.errors import GaveUpError, LocalError, ServerError, StoppedError
from sosie.local.processes import TICKS_PER_SECOND, ProcessStat, read_run_delay
from sosie.local.services import Service
from sosie.local.triton import LocalTriton
from sosie.local.waiting import Say, be_silent

TICK = 0.2
WORK_SAMPLE = 0.5
WORKING_SHARE = 0.05
"""Processes that use, or wait for, less of one core than this are not working."""
STARVED_SHARE = 0.25
"""A server that waits for a processor for more of the time than this cannot be blamed on a model."""
PROBE_SHARE = 20
"""A probe may cost at most one part in so many of a core."""


@dataclass(frozen=True)
class Limits:
    """Times in seconds.

    A model is probed every `interval`, more rarely if a probe is costly, but at least every `max_interval`. It is sick
    when a probe waits for `stall` without any work done, or for `patience` in any case. Loading it anew may take
    `reload`, or twice what the server's start took if that is more. Nothing is started more than `attempts` times in
    `window`; the second start waits for `backoff`, each further one twice as long.
    """

    interval: float = 1.0
    max_interval: float = 3.0
    stall: float = 2.0
    patience: float = 30.0
    reload: float = 3.0
    attempts: int = 5
    window: float = 60.0
    backoff: float = 0.5


class Attempts:
    """When something that broke may be started again."""

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._limits = limits
        self._times: deque[float] = deque()

    def is_due(self) -> bool:
        """Whether the next start is due. Raises GaveUpError where there have been too many."""
        now = self._clock()
        while self._times and now - self._times[0] > self._limits.window:
            self._times.popleft()
        count = len(self._times)
        if count >= self._limits.attempts:
            raise GaveUpError(f"{self._name} broke {count + 1} times within {self._limits.window:.0f} s: giving up")
        return count == 0 or now >= self._times[-1] + self._limits.backoff * 2 ** (count - 1)

    def note(self) -> None:
        """Counts a start."""
        self._times.append(self._clock())


@dataclass
class Watch:
    """What is known of one model."""

    model: str
    attempts: Attempts
    sickness: str | None = None
    probe: Future[float] | None = None
    began: float = 0.0
    next_at: float = 0.0
    worked_at: float = 0.0
    sampled_at: float = 0.0
    effort: float = 0.0
    server_delay: float = 0.0

    def forget(self) -> None:
        """Starts afresh after a repair; an old probe's answer means nothing any more."""
        self.sickness, self.probe, self.next_at = None, None, 0.0


class Supervisor:
    """Watches a started Triton and started services. Everything happens in the thread that calls `run`."""

    def __init__(
        self,
        triton: LocalTriton,
        services: Sequence[Service] = (),
        *,
        limits: Limits | None = None,
        say: Say = be_silent,
    ) -> None:
        self.repairs = 0
        self._triton = triton
        self._services = tuple(services)
        self._limits = limits or Limits()
        self._say = say
        self._watches = [Watch(model, Attempts(f"the model {model}", self._limits)) for model in triton.models]
        self._server_attempts = Attempts("Triton", self._limits)
        self._service_attempts: Mapping[str, Attempts] = {
            service.name: Attempts(service.name, self._limits) for service in services
        }

    def run(self, stop: threading.Event) -> None:
        """Watches until `stop` is set. Raises GaveUpError when something cannot be kept alive."""
        pool = ThreadPoolExecutor(max_workers=2 * len(self._watches) + 1, thread_name_prefix="probe")
        try:
            while not stop.wait(TICK):
                self._tend_server(pool)
                for service in self._services:
                    self._tend_service(service)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # a probe that hangs ends when its server does

    def _tend_service(self, service: Service) -> None:
        if service.child is None or service.child.is_alive:
            return
        attempts = self._service_attempts[service.name]
        if attempts.is_due():
            self._say(f"{service.name} {service.child.describe_end()}: starting it again")
            service.spawn()
            attempts.note()
            self.repairs += 1

    def _tend_server(self, pool: ThreadPoolExecutor) -> None:
        if not self._triton.server.is_alive:
            self._restart(f"Triton {self._triton.server.describe_end()}")
            return
        for watch in self._watches:
            watch.sickness = watch.sickness or self._examine(watch, pool)
            if watch.sickness and watch.attempts.is_due():
                self._repair(watch, watch.sickness)

    def _examine(self, watch: Watch, pool: ThreadPoolExecutor) -> str | None:
        """What is wrong with a model, None where nothing is known to be."""
        now = time.monotonic()
        stats = {pid: ProcessStat.read(pid) for pid in self._triton.stubs(watch.model)}
        gone = [pid for pid, stat in stats.items() if stat is None]
        if gone:
            return f"its process {gone[0]} is gone"
        stopped = [pid for pid, stat in stats.items() if stat is not None and stat.state == "T"]
        if stopped:  # while another of the model's processes answers, a probe would rarely meet this one
            return f"its process {stopped[0]} is stopped"
        if watch.probe is None:
            if now >= watch.next_at:
                watch.began = watch.worked_at = now
                self._sample(watch, stats, now)
                watch.probe = pool.submit(self._probe, watch.model)
            return None
        if watch.probe.done():
            return self._judge(watch, watch.probe, now)
        if now - watch.sampled_at >= WORK_SAMPLE:
            since, effort, server_delay = watch.sampled_at, watch.effort, watch.server_delay
            self._sample(watch, stats, now)
            worked = watch.effort - effort >= WORKING_SHARE * (now - since)
            if worked or watch.server_delay - server_delay >= STARVED_SHARE * (now - since):
                watch.worked_at = now
        if now - watch.worked_at >= self._limits.stall:
            return f"it has not answered for {now - watch.began:.1f} s and does no work"
        return None

    def _sample(self, watch: Watch, stats: Mapping[int, ProcessStat | None], now: float) -> None:
        """Notes what the model's processes have used of processors and waited for them, and what the server waited."""
        used = sum(stat.cpu_ticks for stat in stats.values() if stat) / TICKS_PER_SECOND
        watch.effort = used + sum(map(read_run_delay, stats))
        watch.server_delay = read_run_delay(self._triton.server.pid)
        watch.sampled_at = now

    def _judge(self, watch: Watch, probe: Future[float], now: float) -> str | None:
        watch.probe = None
        try:
            pause = max(self._limits.interval, min(PROBE_SHARE * probe.result(), self._limits.max_interval))
        except ServerError as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE:  # a full queue is no sickness
                return str(error)
            pause = self._limits.interval
        except TimeoutError:
            return f"it has not answered for {self._limits.patience:.0f} s"
        except OSError as error:
            return f"Triton cannot be reached: {error}"
        watch.next_at = now + pause
        return None

    def _probe(self, model: str) -> float:
        """How many seconds an inference took."""
        began = time.monotonic()
        self._triton.http.send(self._triton.probes[model], timeout=self._limits.patience)
        return time.monotonic() - began

    def _repair(self, watch: Watch, sickness: str) -> None:
        self._say(f"the model {watch.model} is down ({sickness}): loading it anew")
        began = time.monotonic()
        watch.attempts.note()
        self.repairs += 1
        try:
            if not self._triton.http.is_live(timeout=1.0):
                raise LocalError("the server does not answer")
            self._triton.reload(watch.model, limit=max(self._limits.reload, 2 * self._triton.start_seconds))
        except (LocalError, OSError) as error:
            self._restart(f"loading {watch.model} anew did not help ({error})")
        else:
            watch.forget()
            self._say(f"the model {watch.model} answers again, after {time.monotonic() - began:.1f} s")

    def _restart(self, reason: str) -> None:
        if not self._server_attempts.is_due():
            return
        self._say(f"{reason}: restarting Triton")
        began = time.monotonic()
        self._server_attempts.note()
        self.repairs += 1
        try:
            self._triton.restart()
        except StoppedError:
            return  # `run` is about to end
        except LocalError as error:
            self._say(f"Triton did not start: {error}")
            return
        for watch in self._watches:
            watch.forget()
        self._say(f"Triton answers again, after {time.monotonic() - began:.1f} s")
