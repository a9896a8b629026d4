"""A real Milvus server for any test that needs one: the standalone server that the PyPI package `milvus` carries.

It knows no address to listen on: but for etcd's, its ports, all free ones, are open on every interface while it runs.
"""

import contextlib
import importlib.util
import lzma
import os
import platform
import re
import secrets
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from sosie.local.ports import HOST, find_ports
from sosie.local.processes import make_tag
from sosie.local.services import Service
from sosie.local.waiting import wait_until

VARIABLE = re.compile(r"\{\{ *(\w+)(?:\(\w+\))?(?:: *(.*?))? *\}\}")
"""A place in the package's template of its configuration: {{ name(type): default }}."""

RUN_FOLDER = Path("/tmp/milvus")  # noqa: S108 -- where the server notes its process id, whatever it is told
LIMIT = 10.0
COMPONENTS = ("ROOTCOORD", "PROXY", "QUERYCOORD", "QUERYNODE", "INDEXNODE", "DATACOORD", "DATANODE")


class MilvusServer:
    """A standalone server in `folder`, on ports that it keeps when it is started again.

    One that was killed serves its collections again when its former self's lease ends, after `lease` seconds (Milvus's
    default is 30); one that stands still for longer than that ends itself.
    """

    def __init__(self, binaries: Path, folder: Path, *, lease: int = 5) -> None:
        template = (_package() / "config.yaml.template").read_text()
        ports = {name: 0 for name, _ in VARIABLE.findall(template) if name.endswith("_port")}
        self._ports = find_ports(**ports, etcd_peer_port=0, health_port=0)
        etcd = f"http://{HOST}:{self._ports['etcd_port']}"
        peer = f"http://{HOST}:{self._ports['etcd_peer_port']}"
        data = folder / "data"
        values = {
            **self._ports,
            "etcd_data_dir": data / "etcd",
            "local_storage_dir": data,
            "rocksmq_data_dir": data / "rocksmq",
            "system_log_path": "",
        }
        data.mkdir(parents=True)
        shutil.copy(_package() / "glog.conf", folder)
        (folder / "milvus.yaml").write_text(VARIABLE.sub(lambda at: str(values.get(at[1], at[2])), template))
        (folder / "etcd.yaml").write_text(
            f"name: default\ndata-dir: {data / 'etcd'}\nlisten-client-urls: {etcd}\nadvertise-client-urls: {etcd}\n"
            f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
            "log-level: warn\n"
        )
        self.service = Service(
            name="Milvus",
            address=f"{HOST}:{self._ports['proxy_port']}",
            command=(str(binaries / "milvus"), "run", "standalone"),
            log=folder / "milvus.log",
            tag=make_tag(),
            answers=lambda _address: self._is_healthy(),
            grace=0.0,  # it crashes when it is asked to end
            environment={
                "DEPLOY_MODE": "STANDALONE",
                "LD_LIBRARY_PATH": str(binaries),
                "MILVUSCONF": str(folder),
                "METRICS_PORT": str(self._ports["health_port"]),
                "ETCD_CONFIG_PATH": str(folder / "etcd.yaml"),
                "COMMON_SESSION_TTL": str(lease),
                **{f"{component}_IP": HOST for component in COMPONENTS},
            },
        )

    @property
    def uri(self) -> str:
        return f"http://{self.service.address}"

    def start(self) -> None:
        """Starts it, or starts it again, and returns when all of its parts are healthy."""
        try:
            self.service.start()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Ends it at once, as a power cut does."""
        child = self.service.child
        if child is not None:
            child.kill()
            (RUN_FOLDER / f"server_id_{child.pid}").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not there, or another server's too
                RUN_FOLDER.rmdir()

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._ports['health_port']}/healthz", timeout=5) as answer:
                return bool(answer.read() == b"OK")
        except OSError:
            return False


def suspend(service: Service) -> None:
    """Stops a process without an end: it holds its connections and answers nothing, until it is killed."""
    child = service.child
    assert child is not None
    os.kill(child.pid, signal.SIGSTOP)

    def is_stopped() -> bool:  # one thread after the other
        stats = [(task / "stat").read_text() for task in Path(f"/proc/{child.pid}/task").iterdir()]
        return all(stat[stat.rindex(")") + 2] == "T" for stat in stats)

    assert wait_until(is_stopped, limit=LIMIT, pause=0.01)


@pytest.fixture(scope="session")
def milvus_binaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package's programs and libraries, unpacked (250 MB)."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the package milvus has its server for Linux on x86-64 only")
    folder = tmp_path_factory.mktemp("milvus-bin")
    unpack_milvus(folder)
    yield folder
    _remove(folder)


@pytest.fixture(scope="session")
def milvus_server(milvus_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A server for the whole session; no test may break it, each has collections of its own."""
    with run_milvus(milvus_binaries, tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def breakable_milvus(milvus_binaries: Path, tmp_path: Path) -> Iterator[MilvusServer]:
    """A server that a test may kill and start again."""
    with run_milvus(milvus_binaries, tmp_path / "milvus") as server:
        yield server


def unpack_milvus(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for packed in (_package() / "bin").glob("*.lzma"):
        unpacked = folder / packed.stem
        unpacked.write_bytes(lzma.decompress(packed.read_bytes()))
        unpacked.chmod(0o755)


@contextlib.contextmanager
def run_milvus(binaries: Path, folder: Path, *, lease: int = 5) -> Iterator[MilvusServer]:
    server = MilvusServer(binaries, folder, lease=lease)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        _remove(folder)


@contextlib.contextmanager
def name_collection(uri: str) -> Iterator[str]:
    """A name that no other test has; on a server, what it stands for is dropped in the end."""
    name = f"test_{secrets.token_hex(4)}"
    yield name
    if uri.startswith("http"):
        client = MilvusClient(uri, timeout=LIMIT)
        for collection in client.list_collections(timeout=LIMIT):
            if collection.startswith(name):
                for alias in client.list_aliases(collection, timeout=LIMIT)["aliases"]:
                    client.drop_alias(alias, timeout=LIMIT)
                client.drop_collection(collection, timeout=LIMIT)
        client.close()


def _package() -> Path:
    found = importlib.util.find_spec("milvus")
    assert found is not None, "the package milvus is not installed: pip install --group test"
    assert found.origin is not None
    return Path(found.origin).parent / "data"


def _remove(folder: Path) -> None:
    """Removes what pytest would keep for three sessions."""
    shutil.rmtree(folder)
