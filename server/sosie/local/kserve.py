"""Triton's HTTP interface, as far as a supervisor needs it, with the standard library alone.

KServe's v2 protocol with Triton's extensions for binary tensors and for the model repository:
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

import http.client
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sosie.local.errors import ServerError

ITEM_SIZES = {
    "TYPE_BOOL": 1,
    "TYPE_UINT8": 1,
    "TYPE_INT8": 1,
    "TYPE_UINT16": 2,
    "TYPE_INT16": 2,
    "TYPE_FP16": 2,
    "TYPE_BF16": 2,
    "TYPE_UINT32": 4,
    "TYPE_INT32": 4,
    "TYPE_FP32": 4,
    "TYPE_UINT64": 8,
    "TYPE_INT64": 8,
    "TYPE_FP64": 8,
    "TYPE_STRING": 4,  # a string of no bytes is its length alone
}


@dataclass(frozen=True)
class Probe:
    """An inference request of one item of zeros, ready to be sent."""

    model: str
    head: bytes
    tensors: bytes

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The request that a model's configuration calls for; dimensions that may vary are 1."""
        batch = [1] if config.get("max_batch_size", 0) > 0 else []
        inputs: list[dict[str, Any]] = []
        for tensor in config["input"]:
            if tensor.get("optional"):
                continue
            shape = batch + [max(int(size), 1) for size in tensor["dims"]]
            size = math.prod(shape) * ITEM_SIZES[tensor["data_type"]]
            inputs.append(
                {
                    "name": tensor["name"],
                    "datatype": tensor["data_type"].removeprefix("TYPE_").replace("STRING", "BYTES"),
                    "shape": shape,
                    "parameters": {"binary_data_size": size},
                }
            )
        outputs = [{"name": tensor["name"], "parameters": {"binary_data": True}} for tensor in config["output"]]
        size = sum(tensor["parameters"]["binary_data_size"] for tensor in inputs)
        return cls(config["name"], json.dumps({"inputs": inputs, "outputs": outputs}).encode(), bytes(size))


@dataclass(frozen=True)
class ModelState:
    """A model as the server's index shows it; `reason` says why it is not ready."""

    name: str
    is_ready: bool
    reason: str


@dataclass(frozen=True)
class TritonHTTP:
    """Requests to one Triton. Each takes its time limit in seconds.

    All raise ServerError for an error of the server's, OSError (with TimeoutError) where it cannot be reached.
    """

    host: str
    port: int

    def is_live(self, *, timeout: float) -> bool:
        """Whether the server answers at all."""
        try:
            self._request("GET", "/v2/health/live", timeout=timeout)
        except (ServerError, OSError):
            return False
        return True

    def list_models(self, *, timeout: float) -> tuple[ModelState, ...]:
        """Every model of the repository that the server has tried to load."""
        raw = json.loads(self._request("POST", "/v2/repository/index", b"{}", timeout=timeout))
        return tuple(
            ModelState(entry["name"], entry["state"] == "READY", shorten_reason(entry.get("reason", "")))
            for entry in raw
            if "state" in entry
        )

    def read_config(self, model: str, *, timeout: float) -> dict[str, Any]:
        """A model's configuration, completed by the server."""
        config: dict[str, Any] = json.loads(self._request("GET", f"/v2/models/{model}/config", timeout=timeout))
        return config

    def load(self, model: str, *, timeout: float) -> None:
        """Loads a model and returns when it is ready."""
        self._request("POST", f"/v2/repository/models/{model}/load", b"{}", timeout=timeout)

    def unload(self, model: str, *, timeout: float) -> None:
        """Begins to unload a model."""
        self._request("POST", f"/v2/repository/models/{model}/unload", b"{}", timeout=timeout)

    def send(self, probe: Probe, *, timeout: float) -> None:
        """Returns when the model has answered the probe."""
        headers = {"Inference-Header-Content-Length": str(len(probe.head))}
        path = f"/v2/models/{probe.model}/infer"
        self._request("POST", path, probe.head + probe.tensors, headers=headers, timeout=timeout)

    def _request(
        self, method: str, path: str, body: bytes = b"", *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> bytes:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {**(headers or {}), "Connection": "close"})
            response = connection.getresponse()
            content = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"Triton broke the connection off: {error!r}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ServerError(response.status, _read_error(content) or f"{path}: HTTP status {response.status}")
        return content


def shorten_reason(reason: str) -> str:
    """The server's reason in one line, without the Python stack that a backend adds."""
    words = " ".join(reason.split())
    return words.partition(" At: ")[0].removeprefix("Internal: ").removeprefix("TritonModelException: ").rstrip("; ")


def _read_error(content: bytes) -> str:
    try:
        return shorten_reason(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace")[:200]
