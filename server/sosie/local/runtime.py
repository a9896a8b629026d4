"""Triton's own Python environment: the tritonserver of the nvidia-pytriton wheel, onnxruntime and numpy.

It is apart from ours for the reason a container is: its pins never meet the gateway's. It is made on first use in a
cache folder and used by every later run. Everything is installed without dependencies: the wheel pins numpy < 2 for a
Python interface that is not used here, and onnxruntime runs graphs with numpy alone.
"""

import json
import os
import platform
import shutil
import sys
import sysconfig
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sosie.local.errors import LocalError
from sosie.local.locks import FileLock
from sosie.local.processes import Child, make_tag, read_tail
from sosie.local.waiting import Say, be_silent, wait_until

TRITON = "24.10"
PINS = {"nvidia-pytriton": "0.7.0", "onnxruntime": "1.31.1", "numpy": "2.4.6"}
PYTHONS = ((3, 11), (3, 13))
"""The first and the last Python that both sosie and the wheel's stubs know."""

MARKER = "complete.json"
"""Written last: a folder without it was left half-made."""

INSTALL_LIMIT = 900.0
STEPS = (b"Collecting ", b"Downloading ", b"Installing ")


@dataclass(frozen=True)
class TritonRuntime:
    """Where the parts of a complete environment are."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        return self.folder / "lib" / f"python{_python_version()}" / "site-packages"

    @property
    def server(self) -> Path:
        return self._triton / "bin" / "tritonserver"

    @property
    def python_backend(self) -> Path:
        """The folder of Triton's Python backend."""
        return self._triton / "backends" / "python"

    @property
    def stub(self) -> Path:
        """The process that holds one instance of a Python model, for our version of Python."""
        return self._triton / "python_backend_stubs" / _python_version() / "triton_python_backend_stub"

    def environment(self) -> dict[str, str]:
        """Environment variables for the server: the first Python on PATH gives the stubs their packages."""
        environment = _clean_environment()
        environment["PATH"] = f"{self.folder / 'bin'}:{environment.get('PATH', os.defpath)}"
        library = _python_library()
        if library is not None:
            environment["LD_LIBRARY_PATH"] = f"{library.parent}:{environment.get('LD_LIBRARY_PATH', '')}".rstrip(":")
        return environment

    def is_complete(self) -> bool:
        """Whether it was finished with these versions and still is what it was."""
        try:
            if json.loads((self.folder / MARKER).read_text()) != _recipe():
                return False
        except (OSError, ValueError):
            return False
        found = {d.name.lower(): d.version for d in metadata.distributions(path=[str(self.packages)])}
        return all(found.get(name) == version for name, version in PINS.items()) and all(
            path.exists() for path in (self.python, self.server, self.stub)
        )

    @property
    def _triton(self) -> Path:
        return self.packages / "pytriton" / "tritonserver"


def default_folder() -> Path:
    """Below SOSIE_CACHE, else in sosie's part of XDG_CACHE_HOME or ~/.cache; other versions have other folders."""
    root = os.environ.get("SOSIE_CACHE")
    cache = Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sosie"
    return cache / f"triton-{TRITON}-onnxruntime-{PINS['onnxruntime']}-python{_python_version()}"


def ensure_runtime(
    folder: Path | None = None,
    *,
    say: Say = be_silent,
    stop: threading.Event | None = None,
    limit: float = INSTALL_LIMIT,
) -> TritonRuntime:
    """The environment, made now if it is not there, or not whole.

    Processes that ask at once make it once: the others wait, at most `limit` seconds. Raises LocalError where this
    machine cannot have one or the packages cannot be installed, StoppedError once `stop` is set.
    """
    runtime = TritonRuntime(folder or default_folder())
    if runtime.is_complete():
        return runtime
    _check_machine()
    try:
        runtime.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(runtime.folder.with_name(f"{runtime.folder.name}.lock")) as lock:
            if not lock.acquire():
                say(f"waiting for the process {lock.holder()} that is making {runtime.folder}")
                if not wait_until(lock.acquire, limit=limit, stop=stop, pause=0.2):
                    raise LocalError(f"waited {limit:.0f} s for the process {lock.holder()} to make {runtime.folder}")
            if not runtime.is_complete():
                _make(runtime, say, stop, limit)
    except OSError as error:
        raise LocalError(f"cannot make Triton's environment: {error}; set SOSIE_CACHE to a writable folder") from error
    return runtime


def _make(runtime: TritonRuntime, say: Say, stop: threading.Event | None, limit: float) -> None:
    if runtime.folder.exists():
        say(f"{runtime.folder} is not whole, making it anew")
        shutil.rmtree(runtime.folder)
    say(f"making Triton's environment in {runtime.folder} (once, about 75 MB to download)")
    packages = [f"{name}=={version}" for name, version in PINS.items()]
    install = [str(runtime.python), "-m", "pip", "install", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]
    log = runtime.folder.with_name(f"{runtime.folder.name}.log")
    log.unlink(missing_ok=True)
    for name, command in (
        ("python -m venv", [sys.executable, "-m", "venv", str(runtime.folder)]),
        ("pip install", [*install, "--disable-pip-version-check", *packages]),
        ("import onnxruntime", [str(runtime.python), "-c", "import numpy, onnxruntime"]),
    ):
        _run(name, command, log, say=say, stop=stop, limit=limit)
    partial = runtime.folder / f"{MARKER}.partial"
    partial.write_text(json.dumps(_recipe()))
    partial.rename(runtime.folder / MARKER)
    if not runtime.is_complete():
        raise LocalError(f"Triton's environment in {runtime.folder} is not as expected; see {log}")
    log.unlink()


def _run(name: str, command: list[str], log: Path, *, say: Say, stop: threading.Event | None, limit: float) -> None:
    """Runs one step of the installation and tells pip's news as they come."""
    told = log.stat().st_size if log.exists() else 0
    child = Child.spawn(name, command, environment=_clean_environment(), tag=make_tag(), log=log)

    def is_over() -> bool:
        nonlocal told
        ended = not child.is_alive  # before the reading, or its last words are lost
        with log.open("rb") as news:
            news.seek(told)
            for line in news:
                if not line.endswith(b"\n"):
                    break
                told += len(line)
                if line.startswith(STEPS):
                    say(f"  pip: {line.decode(errors='replace').strip()}")
        return ended

    try:
        if not wait_until(is_over, limit=limit, stop=stop):
            raise LocalError(f"`{name}` took longer than {limit:.0f} s; see {log}")
    finally:
        child.kill()
    if child.exit_status != 0:
        hint = "; on Debian, install python3-venv" if name == "python -m venv" else ""
        raise LocalError(f"`{name}` failed: {read_tail(log)}{hint}; see {log}")


def _check_machine() -> None:
    """Raises LocalError where the wheel's server cannot run."""
    first, last = PYTHONS
    if not first <= sys.version_info[:2] <= last:
        raise LocalError(
            f"the local Triton runs with Python {first[0]}.{first[1]} to {last[0]}.{last[1]}, "
            f"this is {_python_version()}: make the environment with one of those, or run Triton in a container"
        )
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise LocalError(
            f"the local Triton runs on Linux x86_64 only, this is {sys.platform} {platform.machine()}: "
            "run Triton in a container"
        )
    if _python_library() is None:
        raise LocalError(
            f"Triton needs libpython{_python_version()}.so.1.0, which this Python does not bring: "
            f"on Debian, install libpython{_python_version()}"
        )


def _python_library() -> Path | None:
    """The shared library of our Python, which the stubs load."""
    folders = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
    paths = [Path(folder) / f"libpython{_python_version()}.so.1.0" for folder in folders if folder]
    return next((path for path in paths if path.exists()), None)


def _clean_environment() -> dict[str, str]:
    """Our environment without what would lead another Python to our packages.

    onnxruntime's wheels from 1.31 on send what was run to their makers, unless they are told not to.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "PIP_USER"}
    return {**kept, "ORT_DISABLE_TELEMETRY": "1"}


def _recipe() -> dict[str, object]:
    return {"python": _python_version(), **PINS}


def _python_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
