"""The documentation is tried: its console lines and its Python against a stack that serves the drawn shop."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from documented import PAGES, ROOT, Shown, read_blocks, read_console
from sosie.v1.visual_search_pb2 import SearchByTextResponse
from stack_fixtures import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 240.0  # seconds for one line

LEFT_OUT = {
    "pip install ": "installs packages",
    "scripts/check": "is what checks the house",
    "scripts/demo": "tests/house/test_demo.py runs it",
    "scripts/test": "is what runs this test",
    "sosie crawl check ": "tests/crawler/test_check_command.py runs it",
    "sosie crawl feed ": "tests/crawler/test_feed_documentation.py runs it",
    "sosie models build mini": "the fixture built the models",
    "sosie models build clip ": "takes a minute, and a hub or files; tests/training/test_clip_*.py run it",
    "sosie models build resnet152 ": "as clip; tests/training/test_resnet152.py runs it",
    "sosie models list --repository .sosie/trial": "shows what these build",
    "sosie models fit ": "takes minutes; tests/training/test_fit_command.py runs it",
    "sosie models calibrate luma.jsonl ": "needs photographs",
    "sosie models calibrate catalog.jsonl ": "writes into the session's models; tests/training/test_scoring.py runs it",
    "python -m sosie.training.scoring.defaults ": "needs what the line with luma.jsonl wrote",
    "sosie models same-product ": "as fit; tests/training/test_fit_same_product.py runs it",
    "sosie demo-shop .sosie/shop": "the fixture drew the shop",
    "sosie index catalog.jsonl --images pictures --rebuild --space clip-": "names models that are not served",
    "sosie index catalog --images /mnt/pictures --engine ray": "tests/indexer/test_cluster.py runs it",
    "RAY_USAGE_STATS_ENABLED=0 ray start": "starts what stays",
    "sosie local ": "the stack is the session's",
    "sosie gateway ": "serves until it is stopped",
    "sosie train classifier ": "takes minutes, and photographs; tests/training/test_train_command.py runs it",
    "python benchmarks/real_catalogs.py ": "needs photographs",
    "python benchmarks/": "takes minutes, and is for people to read",
    "sosie evaluate --catalog real.jsonl ": "needs photographs",
    "sosie evaluate --catalog .sosie/shop/catalog.jsonl ": "tests/training/test_evaluate_command.py runs it",
    "sosie evaluate classification ": "needs a classifier; tests/training/test_evaluate_command.py trains one",
    "sosie evaluate pairs ": "needs a same-product model; tests/training/test_fit_same_product.py fits one",
    "sosie evaluate retrieval --catalog catalog.jsonl --images pictures --out report --store ": "names an address",
}
"""What is not run, by how the line begins, and why."""

PYTHON_LEFT_OUT = {"LocalStack(": "starts a stack of its own"}

ADDRESS = "localhost:50051"
"""What stands for the gateway in the pages."""

VARYING = {
    r"\bmini-[0-9a-f]{12}\b": "mini-DIGEST",
    r"\b127\.0\.0\.1:\d+": "HOST:PORT",
    r"\b[\d.]+ (ms|s|pictures/s)(?=$|\W)": r"N \1",
    r"\b(check|decode|encode|write) \d+%": r"\1 N%",
    r"(?<![\d.])[01]\.\d{3}\b": "SCORE",
    r"\bcollection documented\b": "collection sosie",
    r"\s+": " ",
}
"""What differs from run to run and from machine to machine: expression and what is put in its place."""

PROGRESS = re.compile(r"[\d,]+ of [\d,]+ pictures, ")

RUN = [shown for page in PAGES for shown in read_console(page) if not shown.line.startswith(tuple(LEFT_OUT))]


def settle(line: str) -> str:
    """A line of output without what varies."""
    for varying, fixed in VARYING.items():
        line = re.sub(varying, fixed, line)
    return line.strip()


@dataclass
class Shell:
    """A folder as the pages mean it, beside a running stack. A line that several pages show is run once."""

    folder: Path
    gateway: str
    done: dict[str, "subprocess.CompletedProcess[str]"] = field(default_factory=dict)

    def run(self, line: str) -> "subprocess.CompletedProcess[str]":
        if line not in self.done:
            self.done[line] = self.start(["bash", "-c", line])
        return self.done[line]

    def start(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        """A command with both of its outputs in one, as a terminal shows them."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SOSIE_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        if "sosie index" in command[-1]:
            environment["SOSIE_COLLECTION"] = "documented"  # the session's own is full already
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT,
        )


@pytest.fixture(scope="module")
def shell(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("documented")
    state = folder / ".sosie"
    state.mkdir()
    (state / "local.json").write_bytes((served.state / "local.json").read_bytes())
    (state / "shop").symlink_to(served.shop.folder)
    (folder / "model_repository").symlink_to(served.models)
    (folder / "shoe.jpg").write_bytes((served.shop.images / "sneaker" / "00001-1.jpg").read_bytes())
    for name in ("images", "pictures"):
        (folder / name).symlink_to(served.shop.images)
    with served.shop.catalog.open() as products:
        (folder / "catalog.jsonl").write_text("".join(next(products) for _ in range(20)))
    for block in read_blocks(ROOT / "docs" / "cleaning.md", "toml"):  # each begins with its file's name
        (folder / block.split()[1]).write_text(block)
    return Shell(folder, served.stack.addresses["gateway"])


@pytest.mark.parametrize("shown", RUN, ids=lambda shown: f"{shown.page.name}: {shown.line}")
def test_console(shown: Shown, shell: Shell) -> None:
    """Every console line works, and prints what the page shows where it shows something."""
    done = shell.run(shown.line)
    assert done.returncode == 0, done.stdout
    printed = [settle(line) for line in done.stdout.splitlines() if not PROGRESS.match(line)]
    if shown.output:
        assert printed == [settle(line) for line in shown.output]


def test_what_is_left_out_is_shown() -> None:
    """Whatever is left out of these tests is in the documentation."""
    lines = [shown.line for page in PAGES for shown in read_console(page)]
    assert [start for start in LEFT_OUT if not any(line.startswith(start) for line in lines)] == []
    code = [block for page in PAGES for block in read_blocks(page, "python")]
    assert [word for word in PYTHON_LEFT_OUT if not any(word in block for block in code)] == []


def python_blocks() -> Iterator[Any]:
    for page in PAGES:
        for number, block in enumerate(read_blocks(page, "python"), 1):
            if not any(word in block for word in PYTHON_LEFT_OUT):
                yield pytest.param(block, id=f"{page.relative_to(ROOT)} {number}")


@pytest.mark.parametrize("block", list(python_blocks()))
def test_python(block: str, shell: Shell) -> None:
    """Every block of Python runs as it stands, but for the gateway's address, and prints what it was asked for."""
    done = shell.start([sys.executable, "-W", "error", "-c", block.replace(ADDRESS, shell.gateway)])
    assert done.returncode == 0, done.stdout
    assert done.stdout.strip() or "print(" not in block


def test_grpcurl(shell: Shell) -> None:
    """The line for grpcurl is answered by what grpcurl knows of the gateway: its reflection alone."""
    (line,) = read_blocks(ROOT / "docs" / "contract.md", "sh")
    *options, address, path = shlex.split(line)
    assert address == ADDRESS
    service, _, method = path.partition("/")
    with grpc.insecure_channel(shell.gateway) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        described = pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(described.input_type)()
        json_format.ParseDict(json.loads(options[options.index("-d") + 1]), request, descriptor_pool=pool)
        serializer = type(request).SerializeToString
        call = channel.unary_unary(f"/{path}", serializer, SearchByTextResponse.FromString)
        answer = call(request, timeout=30)
    assert len(answer.hits) == 3
