"""Where commands look for the gateway."""

import json
from pathlib import Path

import pytest

from sosie.client.address import Address, check_address, resolve_address


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    path = tmp_path / "local.json"
    path.write_text(json.dumps({"gateway": "127.0.0.1:4001", "triton": "127.0.0.1:4002"}))
    return path


def test_the_option_goes_first(state_file: Path) -> None:
    """--address wins over everything."""
    environment = {"SOSIE_ADDRESS": "env:1"}
    found = resolve_address("host:5", environment=environment, state_file=state_file)
    assert found == Address("host:5", "--address")


def test_then_the_environment(state_file: Path) -> None:
    """SOSIE_ADDRESS wins over the local runtime."""
    found = resolve_address(None, environment={"SOSIE_ADDRESS": "env:1"}, state_file=state_file)
    assert found == Address("env:1", "SOSIE_ADDRESS")


def test_then_the_local_runtime(state_file: Path) -> None:
    """What `sosie local up` wrote is found; an empty variable is none."""
    found = resolve_address(None, environment={"SOSIE_ADDRESS": ""}, state_file=state_file)
    assert found == Address("127.0.0.1:4001", str(state_file))


def test_then_the_default(tmp_path: Path) -> None:
    """Without any hint it is the gateway's usual port on this machine."""
    found = resolve_address(None, environment={}, state_file=tmp_path / "none.json")
    assert found == Address("localhost:50051", "the default")


@pytest.mark.parametrize(
    "address",
    ["localhost:50051", "10.0.0.7:1", "[::1]:65535", "sosie.shop.svc:443", "dns:///sosie:50051", "unix:/run/s"],
)
def test_addresses_that_are_taken(address: str) -> None:
    """Hosts with a port, and gRPC's names for several hosts and for sockets."""
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    ["", "localhost", ":50051", "localhost:", "localhost:0", "localhost:65536", "a b:1", "::1:50051", "h:1/x"],
)
def test_addresses_that_are_refused(address: str) -> None:
    """What lacks a host or a port is told what it should look like."""
    with pytest.raises(ValueError, match=r"must be host:port, e\.g\. localhost:50051"):
        check_address(address)


def test_a_web_address_is_told_why() -> None:
    """http:// is the usual slip."""
    with pytest.raises(ValueError, match=r"'http://localhost:1' must be host:port without a scheme"):
        check_address("http://localhost:1")


def test_a_malformed_address_says_where_it_came_from(tmp_path: Path) -> None:
    """So that one knows what to change."""
    with pytest.raises(ValueError, match=r"\(from SOSIE_ADDRESS\)$"):
        resolve_address(None, environment={"SOSIE_ADDRESS": "http://x"}, state_file=tmp_path / "none.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "3"])
def test_a_broken_state_file_is_named(tmp_path: Path, content: str) -> None:
    """A file that names no gateway is an error, not a silent default."""
    path = tmp_path / "local.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="names no gateway"):
        resolve_address(None, environment={}, state_file=path)
