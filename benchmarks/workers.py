"""What a second worker process brings: the rate of answers of `--workers 2` against that of one.

    python benchmarks/workers.py --models DIR [--share 0.3] [--seconds 6] [--rounds 5] [--workers 2]

Sentences, every one new, before servers of canned.py that answer at once. A machine of two cores cannot show the ratio
as it is: two workers that use a core each leave none to whom they ask and who asks them. So each worker gets the same
`--share` of one core's time: whenever it has used more it is stopped (SIGSTOP) until it has not. One worker and two
then differ in nothing but their number, and neither callers nor canned servers are short of a processor. What workers
and callers used is printed and shows whether that held. With `--share 1` nothing is stopped: for machines with cores
to spare.

Connections, not calls, are shared out among workers, by the kernel and at random: of the callers' 32 connections each
worker gets about half. One worker and several take turns, each a process started anew, and of the rounds' ratios the
median counts.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import uvloop
from canned import run_canned
from gateways import run_gateway
from overload import SERVICE, make_sentences

CONNECTIONS = 32
CALLERS = 2  # a connection
BURST = 0.01  # seconds of a processor that a worker may have saved up
DEADLINE = 10.0

THROTTLE = """
import os, signal, sys, time
share, burst, *pids = float(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:])
def used(pid):  # seconds of the processor; see clock_getcpuclockid in Linux
    return time.clock_gettime(~pid << 3 | 2)
began = time.monotonic()
may = {pid: used(pid) for pid in pids}
stopped = dict.fromkeys(pids, False)
while True:
    now = time.monotonic()
    for pid in pids:
        may[pid] = min(may[pid] + share * (now - began), used(pid) + burst)
        if stopped[pid] != (used(pid) >= may[pid]):
            stopped[pid] = not stopped[pid]
            os.kill(pid, signal.SIGSTOP if stopped[pid] else signal.SIGCONT)
    began = now
    time.sleep(0.002)
"""


@dataclass(frozen=True)
class Rate:
    """Answers a second, and shares of one processor: of all workers, and of the callers."""

    answers: float
    workers: float
    callers: float


@contextlib.contextmanager
def throttle(pids: Collection[int], share: float) -> Iterator[None]:
    """Lets processes use a share of a processor's time each, and no more."""
    if share >= 1:
        yield
        return
    command = [sys.executable, "-c", THROTTLE, str(share), str(BURST), *map(str, pids)]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


async def saturate(address: str, seconds: float) -> int:
    """The answers that callers, who wait for each before they ask again, get in that time."""
    alone = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=alone) for _ in range(CONNECTIONS)]
    requests = make_sentences()
    end = time.monotonic() + seconds
    answers = itertools.count()

    async def call(channel: grpc.aio.Channel) -> None:
        ask = channel.unary_unary(f"{SERVICE}/SearchByText", None, None)
        while time.monotonic() < end:
            await ask(next(requests), timeout=DEADLINE)
            next(answers)

    await asyncio.gather(*(call(channel) for channel in channels for _ in range(CALLERS)))
    for channel in channels:
        await channel.close(None)
    return next(answers)


async def measure(workers: int, models: Path, addresses: dict[str, str], options: argparse.Namespace) -> Rate:
    """The rate of a gateway with that many workers, once it is warm."""
    slots = CONNECTIONS * CALLERS
    with run_gateway(addresses, models, workers=workers, slots=slots, text_cache=0) as gateway:
        await saturate(gateway.address, 1.0)
        with throttle(gateway.pids, options.share):
            used, cpu, start = time.process_time(), gateway.cpu(), time.monotonic()
            answers = await saturate(gateway.address, options.seconds)
            took = time.monotonic() - start
            return Rate(answers / took, (gateway.cpu() - cpu) / took, (time.process_time() - used) / took)


async def compare(options: argparse.Namespace) -> None:
    with run_canned(options.models) as addresses:
        rounds = [
            [await measure(workers, options.models, addresses, options) for workers in (1, options.workers)]
            for _ in range(options.rounds)
        ]
    print(f"{os.cpu_count()} processors, each worker at most {options.share:.0%} of one")
    print("workers   answers/s   used by workers   a worker's answers per CPU second   used by callers")
    for workers, rates in zip((1, options.workers), zip(*rounds, strict=True), strict=True):
        answers, used, callers = (
            statistics.median(getattr(rate, name) for rate in rates) for name in ("answers", "workers", "callers")
        )
        print(f"{workers:7} {answers:11.0f} {used:17.0%} {answers / used:35.0f} {callers:17.0%}")
    ratios = [several.answers / one.answers for one, several in rounds]
    print(
        f"{options.workers} workers against 1: {statistics.median(ratios):.2f} x ({min(ratios):.2f}-{max(ratios):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=Path("model_repository"), help="where mini was built")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.3, help="of a core that each worker may use")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=5)
    uvloop.run(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
