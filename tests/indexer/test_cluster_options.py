"""What --engine ray takes, and what it refuses before anything is started."""

import argparse
import socket

import pytest

from sosie.indexer import command
from sosie.indexer.cluster.connection import prepare
from sosie.indexer.cluster.errors import ClusterError
from sosie.indexer.cluster.options import ClusterOptions, read_options

SERVER = "http://milvus:19530"


def parse(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(["catalog.jsonl", "--images", "pictures", *given])


def test_the_local_engine_is_the_default() -> None:
    """Without --engine this process does the work, whatever the environment says of Ray."""
    assert read_options(parse(), "sosie.db") is None


def test_ray_is_found_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster's address is --ray, else $RAY_ADDRESS, else there is none."""
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert read_options(parse("--engine=ray"), SERVER) == ClusterOptions("head:6379")
    assert read_options(parse("--engine=ray", "--ray=other:1", "--workers=3"), SERVER) == ClusterOptions("other:1", 3)
    monkeypatch.delenv("RAY_ADDRESS")
    assert read_options(parse("--engine=ray"), SERVER) == ClusterOptions()


@pytest.mark.parametrize(
    ("given", "store", "said"),
    [
        (["--engine=ray"], "sosie.db", "sosie.db takes one"),
        (["--engine=ray", "--near-duplicates=drop"], SERVER, "--near-duplicates is for --engine local"),
        (["--ray=head:6379"], SERVER, "--ray is for --engine ray"),
        (["--workers=2"], SERVER, "--workers is for --engine ray"),
    ],
)
def test_what_does_not_fit_is_refused(given: list[str], store: str, said: str) -> None:
    """Options that do not fit together end the command with a line that says which."""
    with pytest.raises(SystemExit, match=said):
        read_options(parse(*given), store)


def test_an_address_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nobody listens is refused before Ray is started, as is what is none."""
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(ClusterError, match="no Ray cluster listens at"):
            prepare(f"127.0.0.1:{taken.getsockname()[1]}")
    with pytest.raises(ClusterError, match="takes host:port"):
        prepare("head")
