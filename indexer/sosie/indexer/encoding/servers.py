"""The Tritons behind `--triton`: one address, several, or a name that stands for all that are there at a time."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from sosie.engine.errors import BackendUnavailableError, EngineError
from sosie.engine.inference import Encoder
from sosie.engine.triton import TritonModels
from sosie.indexer.encoding.spreading import SpreadEncoder

DNS = "dns:///"
"""What an address begins with that is looked up anew while the job runs, as gRPC writes it."""

EVERY = 30.0
"""Seconds between two looks for servers that came, went or are back."""

MAX_SERVERS = 256


class Servers:
    """Connections to all servers that answered, by their addresses.

    Bound to the event loop that `connect` ran in.
    """

    def __init__(self, addresses: str, timeout: float) -> None:
        """`addresses` are host:port or dns:///name:port, separated by commas; `timeout` in seconds is for each."""
        self._listed = [address.strip() for address in addresses.split(",") if address.strip()]
        self._timeout = timeout
        self._models: dict[str, TritonModels] = {}
        self._gone: list[TritonModels] = []
        self.problem: EngineError | None = None
        """Why the last server that could not be reached could not."""

    async def connect(self) -> None:
        """Connects to those that are not connected, and lets go of those that no name stands for any more.

        Raises BackendUnavailableError, or what the first server raised, where none answers.
        """
        wanted = await self._resolve()
        new = [address for address in wanted if address not in self._models]
        connecting = (TritonModels.connect(address, timeout=self._timeout) for address in new)
        problems: list[EngineError] = []
        for address, answer in zip(new, await asyncio.gather(*connecting, return_exceptions=True), strict=True):
            if isinstance(answer, TritonModels):
                self._models[address] = answer
            elif isinstance(answer, EngineError):
                problems.append(answer)
            else:
                raise answer
        self.problem = problems[-1] if problems else None
        if problems and len(problems) == len(wanted):
            raise problems[0]
        self._gone += [self._models.pop(address) for address in list(self._models) if address not in wanted]

    def encoders(self) -> Mapping[str, Encoder]:
        """One for each space that is served, by the space's name."""
        return {name: encoder for models in self._models.values() for name, encoder in models.encoders.items()}

    def replicas(self, space: str) -> Mapping[str, Encoder]:
        """All that serve a space, by their addresses."""
        return {address: models.encoders[space] for address, models in self._models.items() if space in models.encoders}

    async def close_gone(self) -> None:
        """Closes those that were let go of, once nothing is asked of them any more."""
        gone, self._gone = self._gone, []
        await asyncio.gather(*(models.close() for models in gone))

    async def close(self) -> None:
        self._gone += self._models.values()
        self._models = {}
        await self.close_gone()

    async def _resolve(self) -> Sequence[str]:
        """The servers' addresses, each once. Raises BackendUnavailableError where a name stands for none."""
        found: dict[str, None] = {}
        for address in self._listed:
            if address.startswith(DNS):
                found |= dict.fromkeys(await _look_up(address.removeprefix(DNS)))
            else:
                found[address] = None
        return list(found)[:MAX_SERVERS]


@asynccontextmanager
async def follow(servers: Servers, encoder: SpreadEncoder, *, every: float = EVERY) -> AsyncIterator[None]:
    """Keeps an encoder on the servers that are there, for as long as the context lasts; `every` is in seconds."""

    async def keep_following() -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await servers.connect()
            except EngineError:
                continue  # none answers, or no name is known: what is connected stays, and requests say what is wrong
            replicas = servers.replicas(encoder.space.name)
            if replicas:
                await encoder.replace(replicas)
                await servers.close_gone()

    task = asyncio.create_task(keep_following())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _look_up(name: str) -> Sequence[str]:
    host, _, port = name.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise BackendUnavailableError(f"{DNS}{name} cannot be looked up: {error}") from error
    hosts = [
        f"[{address[0]!s}]" if family == socket.AF_INET6 else str(address[0]) for family, _, _, _, address in found
    ]
    return [f"{host}:{port}" for host in hosts]
