"""`sosie local up | status | down`: Triton, Milvus Lite and the gateway on this machine, without containers."""

import argparse
import json
import os
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from sosie.local.errors import GaveUpError, LocalError, StoppedError

HELP = "run Triton, Milvus Lite and the gateway on this machine"
EXTRA = "local"

DOWN_LIMIT = 60.0
STARTED = ("milvus_lite", "uvloop")
"""Imported by the processes that are started here, not by this one: asked for before anything is touched."""

PORTS = {
    "triton": "Triton's gRPC",
    "triton-http": "Triton's HTTP",
    "triton-metrics": "Triton's metrics",
    "store": "Milvus Lite",
    "gateway": "the gateway",
    "metrics": "the gateway's metrics",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the three commands."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start all, watch over it, stop on Ctrl-C")
    up.add_argument(
        "--models",
        type=Path,
        default=Path("model_repository"),
        metavar="DIR",
        help="the model repository (default: %(default)s)",
    )
    up.add_argument(
        "--store", metavar="PATH.db|URI", help="what holds the vectors (default: sosie.db in the state folder)"
    )
    up.add_argument("--no-gateway", action="store_true", help="only Triton and Milvus Lite")
    for name, what in PORTS.items():
        up.add_argument(f"--{name}-port", type=_port, default=0, metavar="N", help=f"port of {what} (default: free)")
    status = commands.add_parser("status", help="say what runs and whether it answers")
    status.add_argument("--json", action="store_true", help="for programs")
    down = commands.add_parser("down", help="stop what runs and wait for its end")
    for command in (up, status, down):
        command.add_argument(
            "--state",
            type=Path,
            default=Path(".sosie"),
            metavar="DIR",
            help="folder of lock, addresses and logs (default: %(default)s)",
        )


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 0 if all is well, 1 if `up` gave up or `status` found something that does not answer."""
    action = {"up": _up, "status": _status, "down": _down}[arguments.action]
    try:
        return action(arguments)
    except LocalError as error:
        raise SystemExit(f"sosie local {arguments.action}: {error}") from None


def _up(arguments: argparse.Namespace) -> int:
    from sosie.local.stack import LocalStack, Ports  # noqa: PLC0415 -- `sosie --help` imports this module

    for package in STARTED:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"no module named {package!r}", name=package)  # `sosie` names the extra

    stack = LocalStack(
        arguments.models,
        arguments.state,
        store=arguments.store,
        gateway=not arguments.no_gateway,
        ports=Ports(**{name.replace("-", "_"): getattr(arguments, f"{name.replace('-', '_')}_port") for name in PORTS}),
        say=_say,
    )

    def handle(_number: int, _frame: FrameType | None) -> None:
        (stack.forcing if stack.stopping.is_set() else stack.stopping).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)
    try:
        stack.start()
    except StoppedError:
        _say("stopped")
        return 0
    for name, address in stack.addresses.items():
        _say(f"  {name:<14} {address}")
    _say(f"ready: stop with Ctrl-C or `sosie local down --state {arguments.state}`")
    status = 0
    try:
        stack.watch()
    except GaveUpError as error:
        _say(f"sosie local up: {error}; the logs are in {arguments.state}", file_is_stderr=True)
        status = 1
    stack.stopping.set()  # from here a Ctrl-C forces
    stack.stop()
    _say("stopped")
    return status


def _status(arguments: argparse.Namespace) -> int:
    from sosie.local.status import read_status  # noqa: PLC0415 -- as above

    status = read_status(arguments.state)
    if arguments.json:
        print(json.dumps(status.to_dict(), indent=2))
    elif status.pid is None:
        print(f"nothing runs in {arguments.state}")
    else:
        for part in status.parts:
            print(f"{part.name:<14} {part.address:<28} {part.condition}")
        print(f"watched by process {status.pid}" if status.parts else f"process {status.pid} is starting")
    return 0 if status.is_well else 1


def _down(arguments: argparse.Namespace) -> int:
    from sosie.local.processes import sweep_dead_owners  # noqa: PLC0415 -- as above
    from sosie.local.state import StateFolder  # noqa: PLC0415 -- as above
    from sosie.local.waiting import wait_until  # noqa: PLC0415 -- as above

    state = StateFolder(arguments.state)
    pid = state.lock.holder()
    if pid is None:
        sweep_dead_owners()
        state.file.unlink(missing_ok=True)
        print(f"nothing runs in {arguments.state}")
        return 0
    began = time.monotonic()
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise LocalError(f"the process {pid} belongs to another user") from None
    except ProcessLookupError:
        pass  # it just ended
    if not wait_until(lambda: state.lock.holder() != pid, limit=DOWN_LIMIT):
        raise LocalError(f"the process {pid} did not end within {DOWN_LIMIT:.0f} s: end it with `kill -9 {pid}`")
    print(f"stopped after {time.monotonic() - began:.1f} s")
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004 -- TCP's own bound
        raise argparse.ArgumentTypeError(f"a port is 0 to 65535, got {port}")
    return port


def _say(line: str, *, file_is_stderr: bool = False) -> None:
    print(line, file=sys.stderr if file_is_stderr else sys.stdout, flush=True)
