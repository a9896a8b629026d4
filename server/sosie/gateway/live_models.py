"""The models that questions are embedded and classified by: the model server followed, and what is known of each."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from sosie.engine.errors import BackendUnavailableError, EngineError
from sosie.engine.inference import Classifier, Encoder, ServedModel
from sosie.engine.probing import Health

_RELOAD_GRACE = 30.0  # seconds in which a model that vanished is taken for one that is being loaded again


class Models(Protocol):
    """What a model server has ready; TritonModels is one."""

    @property
    def encoders(self) -> Mapping[str, Encoder]: ...

    @property
    def classifiers(self) -> Mapping[str, Classifier]: ...

    async def again(self, *, timeout: float) -> "Models": ...

    async def probe(self, *, timeout: float) -> Health: ...

    async def statistics(self, *, timeout: float) -> Sequence[ServedModel]: ...

    async def close(self) -> None: ...


class LiveModels:
    """Looks at what the model server has and whether it answers, and remembers it until the next look.

    `connect` makes a connection to it.
    """

    def __init__(self, connect: Callable[[], Awaitable[Models]]) -> None:
        self.served: Sequence[ServedModel] = ()
        """What the model server said last of its models."""
        self.error: EngineError | None = None
        """Why none of them answers, where that is known."""
        self._connect = connect
        self._models: Models | None = None
        self._untried: EngineError | None = BackendUnavailableError("the models were not asked yet")
        self._sick = Health()
        self._gone = Health()
        self._gone_since = 0.0

    @property
    def known(self) -> Models:
        """What the server had at the last look. Raises why there was none."""
        if self._models is None:
            raise self.error or BackendUnavailableError("the model server was not asked yet")
        return self._models

    def problem(self, space: str) -> EngineError | None:
        """Why not all of them answer, encoders of other spaces left out: those may be of another day's collection."""
        encoders = [error for name, error in self._sick.encoders.items() if not space or name == space]
        return self.error or self._untried or next(iter([*encoders, *self._sick.classifiers.values()]), None)

    def encoder_problem(self, space: str) -> EngineError | None:
        """Why the encoder of a space does not answer, where that is known."""
        return self._sick.encoders.get(space) or self.error

    def classifier_problem(self, label_set: str) -> EngineError | None:
        """Why a classifier does not answer, where that is known."""
        return self.error or self._sick.classifiers.get(label_set)

    def speaks(self, space: str) -> bool:
        """Whether there is an encoder of this space, and nothing known against it."""
        return self._models is not None and space in self._models.encoders and space not in self._sick.encoders

    async def look(self, space: str, *, timeout: float) -> None:
        """Probes the models; those of a server that was away, or lacks one, are read anew: they may be others now.

        `space` is that whose encoder is needed, empty where any will do.
        """
        try:
            doubtful = self.error or self._sick.problem
            if self._models is None or doubtful or _lacks_encoder(self._models, space):
                self._models = await self._read(self._models, timeout)
                self.error = None  # whoever asks meanwhile is not kept from a model that may well answer
            sick = await self._models.probe(timeout=timeout)
        except EngineError as error:
            self.error = error
            return
        self.error = self._untried = None
        self._sick = Health({**sick.encoders, **self._gone.encoders}, {**sick.classifiers, **self._gone.classifiers})

    async def count_runs(self, *, timeout: float) -> None:
        """Asks how often the models ran, if they answer at all."""
        if self._models is not None and self.error is None and self._sick.problem is None:
            with contextlib.suppress(EngineError):  # who does not tell that may serve well
                self.served = await self._models.statistics(timeout=timeout)

    async def close(self) -> None:
        if self._models is not None:
            await self._models.close()

    async def _read(self, known: Models | None, timeout: float) -> Models:
        """What the server has now; what was known before and is missing may be on its way back.

        The connection stays the same: a call that took its encoder before goes on by it.
        """
        if known is None:
            return await self._connect()
        models = await known.again(timeout=timeout)
        now = time.monotonic()
        if not self._gone.problem:
            self._gone_since = now
        gone = Health(
            _find_gone({**known.encoders, **self._gone.encoders}, models.encoders),
            _find_gone({**known.classifiers, **self._gone.classifiers}, models.classifiers),
        )
        self._gone = gone if now - self._gone_since < _RELOAD_GRACE else Health()
        return models


def _lacks_encoder(models: Models, space: str) -> bool:
    """Whether the encoder that searches need is not there: it may have been loaded since."""
    return space not in models.encoders if space else not models.encoders


def _find_gone(known: Iterable[str], present: Collection[str]) -> dict[str, EngineError]:
    """The names that are not present any more, with what is said of them."""
    return {
        name: BackendUnavailableError(f"the model server has no {name} now") for name in known if name not in present
    }
