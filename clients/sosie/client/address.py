"""Where the gateway is."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ADDRESS = "localhost:50051"
STATE_FILE = Path(".sosie/local.json")
ENVIRONMENT = "SOSIE_ADDRESS"

_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")
_TARGET = re.compile(r"unix:.+|dns:///.+")
_MAX_PORT = 65535


@dataclass(frozen=True)
class Address:
    """A gRPC target, and where it was found, in words."""

    target: str
    source: str


def check_address(address: str) -> str:
    """The address, if it is one: host:port, [IPv6]:port, or gRPC's own dns:/// and unix: targets.

    Raises ValueError with what to change.
    """
    if "://" in address and not address.startswith("dns:///"):
        raise ValueError(f"the address {address!r} must be host:port without a scheme, e.g. {DEFAULT_ADDRESS}")
    if _TARGET.fullmatch(address):
        return address
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= _MAX_PORT:
        raise ValueError(f"the address {address!r} must be host:port, e.g. {DEFAULT_ADDRESS}")
    return address


def resolve_address(
    option: str | None, *, environment: Mapping[str, str] = os.environ, state_file: Path = STATE_FILE
) -> Address:
    """The gateway to ask: the option, else SOSIE_ADDRESS, else the one of `sosie local up`, else localhost:50051.

    Raises ValueError, naming where the address came from, if the first of these that is there is no address.
    """
    if option is not None:
        found = Address(option, "--address")
    elif environment.get(ENVIRONMENT):
        found = Address(environment[ENVIRONMENT], ENVIRONMENT)
    else:
        found = _local_address(state_file) or Address(DEFAULT_ADDRESS, "the default")
    try:
        check_address(found.target)
    except ValueError as error:
        raise ValueError(f"{error} (from {found.source})") from None
    return found


def _local_address(state_file: Path) -> Address | None:
    try:
        raw = state_file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot read {state_file}: {error.strerror}") from error
    try:
        gateway = json.loads(raw)["gateway"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{state_file} names no gateway: remove it, or name one with --address") from error
    return Address(str(gateway), str(state_file))
