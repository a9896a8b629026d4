"""What a state folder's stack is doing, looked at from outside."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sosie.local.errors import ServerError
from sosie.local.kserve import TritonHTTP
from sosie.local.services import milvus_answers, read_health
from sosie.local.state import StateFolder

REQUEST_LIMIT = 2.0


@dataclass(frozen=True)
class Part:
    """One server: `condition` is for people, `answers` for programs."""

    name: str
    address: str
    answers: bool
    condition: str


@dataclass(frozen=True)
class Status:
    """`pid` is the supervisor's, None where none runs; without `parts` it is still starting."""

    pid: int | None
    parts: tuple[Part, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether all is up and answers."""
        return self.pid is not None and bool(self.parts) and all(part.answers for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"running": self.pid is not None, "well": self.is_well, **asdict(self)}


def read_status(folder: Path) -> Status:
    """Asks every part of the stack that runs in a state folder."""
    state = StateFolder(folder)
    pid = state.lock.holder()
    addresses = state.read()
    if pid is None or addresses is None:
        return Status(pid)
    parts = [_ask_triton(addresses)]
    store = addresses["store"]
    answers = milvus_answers(store.partition("://")[2])
    parts.append(Part("store", store, answers, _describe(answers)))
    if "gateway" in addresses:
        health = read_health(addresses["gateway"])
        parts.append(Part("gateway", addresses["gateway"], health is not None, health or _describe(False)))
    return Status(pid, tuple(parts))


def _ask_triton(addresses: dict[str, Any]) -> Part:
    host, _, port = addresses["triton_http"].partition(":")
    try:
        models = TritonHTTP(host, int(port)).list_models(timeout=REQUEST_LIMIT)
    except (ServerError, OSError):
        return Part("triton", addresses["triton"], False, _describe(False))
    condition = ", ".join(f"{m.name} {'ready' if m.is_ready else 'NOT READY'}" for m in models)
    return Part("triton", addresses["triton"], all(m.is_ready for m in models), condition)


def _describe(answers: bool) -> str:
    return "answers" if answers else "does not answer"
