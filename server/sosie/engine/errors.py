"""What can go wrong in the engine.

    EngineError
    ├── InputError               the caller's input is at fault; `field` says which
    ├── NotIndexedError          a named picture is not in the index
    ├── SpaceMismatchError       index and encoders speak of different embedding spaces
    ├── NoIndexError             there is no collection under that name
    ├── BackendUnavailableError  Triton or Milvus cannot be reached, or lost what it was doing; worth a retry
    ├── BackendOverloadedError   Triton or Milvus refused for want of room; worth a retry after a pause
    ├── BackendTimeoutError      no answer within the time that was given
    └── BackendError             Triton or Milvus answered with what cannot be right: a fault in the set-up

Whoever stands on the engine translates these once, at its own edge.
"""


class EngineError(Exception):
    """The root of all that the engine raises on purpose."""


class InputError(EngineError, ValueError):
    """The caller's input is at fault.

    `field` is the path of the faulty input in the caller's terms (e.g. "image.crop"); the message says what to change.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotIndexedError(EngineError, LookupError):
    """A picture that was named is not in the index."""


class SpaceMismatchError(EngineError):
    """A collection was built with another embedding space than the encoders'."""

    def __init__(self, collection: str, collection_space: str, encoder_space: str) -> None:
        super().__init__(
            f"collection {collection!r} was built in the embedding space {collection_space!r}, "
            f"the encoders speak {encoder_space!r}: serve the models of the former, or index into another collection"
        )
        self.collection_space = collection_space
        self.encoder_space = encoder_space


class NoIndexError(EngineError, LookupError):
    """There is no collection under the name that was asked for."""


class BackendUnavailableError(EngineError):
    """Triton or Milvus cannot be reached, or lost the request on its way."""


class BackendOverloadedError(EngineError):
    """Triton or Milvus refused the request because its queue is full."""


class BackendTimeoutError(EngineError, TimeoutError):
    """Triton or Milvus did not answer within the time it was given."""


class BackendError(EngineError):
    """Triton or Milvus answered with what cannot be right: models, configuration or data are at fault."""
