"""What Milvus refuses, in the engine's words. Messages name the address: the gateway keeps them from its callers."""

import grpc
from pymilvus import MilvusException

from sosie.engine.errors import (
    BackendError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    EngineError,
    NoIndexError,
)

NOT_LOADED = 101
"""The code of a collection that is there, on disk alone."""

# Codes of internal/pkg/merr of the server. Milvus Lite gives 100, 101, and 1 for all that it did not foresee.
_NOT_FOUND = 100
_BUSY = {3, 4, 8, 9}  # memory, requests at once, rate, writes denied
_AWAY = {2, 103, 401, 503, 504, 901, 902, 903, 904, 905}  # a service, or the nodes and channels of a collection


def translate_status(code: int, text: str, *, uri: str, collection: str) -> EngineError:
    """A reply whose status is not a success."""
    if _tells_absent(code, text):
        return NoIndexError(f"there is no collection {collection!r} at {uri}: index a catalog first")
    if "Open local milvus failed" in text:
        return BackendUnavailableError(
            f"cannot open {uri}: another process has it open (give the address of the one that serves it), "
            "or it was not written by this version of Milvus Lite"
        )
    if code in _BUSY:
        return BackendOverloadedError(f"Milvus at {uri} takes no more for now: {text}")
    if code in _AWAY or any(sign in text for sign in ("not ready", "no available", "Fail connecting", "Retry timeout")):
        return BackendUnavailableError(f"Milvus at {uri} cannot be reached")
    return BackendError(f"Milvus at {uri}: {text}")


def translate_rpc(error: grpc.RpcError, *, uri: str) -> EngineError:
    """A call that got no reply."""
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return timed_out(uri)
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        return BackendUnavailableError(f"Milvus at {uri} cannot be reached")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" not in details:
        return BackendOverloadedError(f"Milvus at {uri} takes no more for now: {details}")
    return BackendError(f"Milvus at {uri}: {details}")


def translate(error: MilvusException | grpc.RpcError, *, uri: str, collection: str) -> EngineError:
    """What pymilvus raised."""
    if isinstance(error, grpc.RpcError):
        return translate_rpc(error, uri=uri)
    if isinstance(error.code, grpc.StatusCode):  # the last of several attempts
        return BackendUnavailableError(f"Milvus at {uri} cannot be reached")
    return translate_status(error.code, str(error.message), uri=uri, collection=collection)


def is_absent(error: MilvusException) -> bool:
    """Whether it says that there is no such collection."""
    return _tells_absent(error.code, str(error.message))


def _tells_absent(code: int, text: str) -> bool:
    return code == _NOT_FOUND or "can't find collection" in text


def timed_out(uri: str) -> BackendTimeoutError:
    return BackendTimeoutError(f"Milvus at {uri} did not answer in time")
