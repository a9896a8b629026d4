"""How tritonserver is told what to serve: its backends folder and its command line."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from sosie.local.errors import LocalError
from sosie.local.ports import HOST
from sosie.local.repository import Repository
from sosie.local.runtime import TritonRuntime

_UNSAFE = re.compile(r"[^\w@%+=:,./-]")  # what shlex.quote would quote

BACKENDS = Path(__file__).parent / "backend"
DRAIN_LIMIT = 4
"""Seconds that the server gives running inferences at its end; a model whose stub was killed uses them up."""

REGION_BYTES = 8 * 1024 * 1024
"""Shared memory of one stub at its start; it grows by itself."""


def prepare_backends(folder: Path, runtime: TritonRuntime) -> None:
    """Makes the backends folder: Triton's Python backend, and ours that are written for it.

    The library is copied, because the server refuses one that is linked from elsewhere. The stub is linked, because it
    finds a library of its own beside the place where it really is.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(BACKENDS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    python = folder / "python"
    python.mkdir()
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copyfile(runtime.python_backend / name, python / name)
    (python / runtime.stub.name).symlink_to(runtime.stub)


def check_path(path: Path, option: str) -> None:
    """Raises LocalError where Triton, which starts its stubs by an unquoted shell line, would break a path apart."""
    unsafe = _UNSAFE.search(str(path.resolve()))
    if unsafe:
        raise LocalError(f"Triton cannot work with {unsafe[0]!r} in the path {path.resolve()}: name another {option}")


def server_arguments(
    repository: Repository, backends: Path, *, ports: Mapping[str, int], region_prefix: str
) -> list[str]:
    """The server's arguments: everything on loopback, the repository's models and no others."""
    options = {
        "model-repository": repository.folder,
        "backend-directory": backends.resolve(),
        "model-control-mode": "explicit",
        "exit-on-error": "false",  # so that it can be asked which model failed, and why
        "exit-timeout-secs": DRAIN_LIMIT,
        "http-address": HOST,
        "http-port": ports["triton_http"],
        "grpc-address": HOST,
        "grpc-port": ports["triton"],
        "metrics-address": HOST,
        "metrics-port": ports["triton_metrics"],
    }
    backend = {"shm-region-prefix-name": region_prefix, "shm-default-byte-size": REGION_BYTES}
    return [
        "--disable-auto-complete-config",  # completing starts every stub twice
        *(f"--{name}={value}" for name, value in options.items()),
        *(f"--backend-config=python,{name}={value}" for name, value in backend.items()),
        *(f"--load-model={name}" for name in repository.models),
    ]
