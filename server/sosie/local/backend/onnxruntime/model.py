"""A Python-based Triton backend named `onnxruntime`.

It serves `<model>/<version>/model.onnx` with the onnxruntime package, so that a model repository written for Triton's
native onnxruntime backend runs unmodified where only Triton's Python backend is at hand. The native backend's settings
that mean something on a CPU are honoured: default_model_filename, optimization.graph.level, and the parameters
intra_op_thread_count, inter_op_thread_count, execution_mode, session.intra_op.allow_spinning and
session.inter_op.allow_spinning.

Triton checks each request against the model's configuration; this backend checks the configuration against the graph.
It runs inside Triton's stub process and imports nothing of sosie.
"""

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

Config = dict[str, Any]
Feed = dict[str, np.ndarray]
Group = list[tuple[int, Feed]]
"""Requests, by their place in the batch, that fit into one run."""

# As ONNX Runtime names element types, and as Triton does. Booleans and strings are left out: the stub of release 24.10
# cannot pass them to NumPy 2 unharmed.
TRITON_TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(double)": "TYPE_FP64",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
}

# optimization.graph.level as the native backend reads it; without one everything is on.
OPTIMISATION_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

DISARM = ctypes.pythonapi.PyCapsule_SetDestructor
DISARM.argtypes = (ctypes.py_object, ctypes.c_void_p)

SPINNING = ("session.intra_op.allow_spinning", "session.inter_op.allow_spinning")


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the graph. Raises TritonModelException where the configuration does not fit it."""
        self.name = args["model_name"]
        config = json.loads(args["model_config"])
        if args.get("model_instance_kind", "CPU") == "GPU":
            raise pb_utils.TritonModelException(
                f"{self.name}: KIND_GPU needs Triton's native onnxruntime backend; here models run on the CPU: "
                "leave the instance group's `kind` out, or write KIND_CPU"
            )
        filename = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / filename
        if not path.is_file():
            raise pb_utils.TritonModelException(f"{self.name}: there is no file {path}")
        try:
            self.session = ort.InferenceSession(str(path), _session_options(config), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common root for its exceptions
            raise pb_utils.TritonModelException(f"{self.name}: {path} is not a graph to run: {error}") from error
        problem = _find_mismatch(config, self.session)
        if problem:
            raise pb_utils.TritonModelException(f"{self.name}: {problem}")
        self.batched = int(config.get("max_batch_size", 0)) > 0
        self.inputs = [tensor["name"] for tensor in config["input"]]
        pb_utils.Logger.log_info(f"{self.name}: onnxruntime {ort.__version__} runs {path}")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers the requests of one dynamic batch in their order, with one run for all of one shape."""
        responses = [None] * len(requests)
        groups = {}
        for position, request in enumerate(requests):
            try:
                feed = {name: _read(request, name) for name in self.inputs}
                groups.setdefault(self._shape_key(position, feed), []).append((position, feed))
            except Exception as error:  # noqa: BLE001 -- whatever is wrong with one request must not reach its neighbours
                responses[position] = _refuse(error)
        for group in groups.values():
            for position, response in self._answer(group, requests):
                responses[position] = response
        return responses

    def finalize(self) -> None:
        """Frees the graph when the model is unloaded."""
        self.session = None

    def _shape_key(self, position: int, feed: Feed) -> Any:
        """Requests with the same key fit into one run."""
        if not self.batched:
            return position
        counts = {array.shape[0] for array in feed.values()}
        if len(counts) != 1:
            raise ValueError(f"the inputs hold different numbers of items: {sorted(counts)}")
        return tuple(array.shape[1:] for array in feed.values())

    def _answer(self, group: Group, requests: list[Any]) -> list[tuple[int, Any]]:
        """(position, response) of requests that fit into one run."""
        try:
            return self._run(group, requests)
        except Exception as error:  # noqa: BLE001 -- one request's values may break the run for all
            if len(group) == 1:
                return [(group[0][0], _refuse(error))]
            return [answer for member in group for answer in self._answer([member], requests)]

    def _run(self, group: Group, requests: list[Any]) -> list[tuple[int, Any]]:
        requested = {position: set(requests[position].requested_output_names()) for position, _ in group}
        outputs = sorted(set().union(*requested.values()))
        feeds = [feed for _, feed in group]
        feed = feeds[0] if len(feeds) == 1 else {n: np.concatenate([f[n] for f in feeds]) for n in self.inputs}
        arrays = dict(zip(outputs, self.session.run(outputs, feed), strict=True))
        answers, start = [], 0
        for position, member in group:
            place = slice(None)
            if len(group) > 1:
                place = slice(start, start + member[self.inputs[0]].shape[0])
                start = place.stop
            tensors = [_write(name, arrays[name][place]) for name in outputs if name in requested[position]]
            answers.append((position, pb_utils.InferenceResponse(tensors)))
        return answers


def _read(request: Any, name: str) -> np.ndarray:
    """The input as an array over Triton's shared memory, not copied.

    Not as_numpy(): the stub of release 24.10 knows the memory layout of NumPy 1 only, and under NumPy 2 as_numpy()
    gives wrong values without a word.
    """
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise ValueError(f"the input {name!r} is missing")
    return np.from_dlpack(tensor)


def _write(name: str, array: np.ndarray) -> Any:
    """The output as Triton's tensor; not Tensor(name, array), which sends 0 bytes under NumPy 2.

    The stub takes the memory over but marks the capsule with a name of its own, which NumPy's destructor does not know
    and complains of at each tensor. The stub calls DLPack's deleter itself, so the capsule needs no destructor.
    """
    capsule = np.ascontiguousarray(array).__dlpack__()
    DISARM(capsule, None)
    return pb_utils.Tensor.from_dlpack(name, capsule)


def _refuse(error: Exception) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"onnxruntime: {error}"))


def _session_options(config: Config) -> ort.SessionOptions:
    parameters = {name: value.get("string_value", "") for name, value in config.get("parameters", {}).items()}
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count") or 0)
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count") or 0)
    if parameters.get("execution_mode") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    for name in SPINNING:
        if parameters.get(name):
            options.add_session_config_entry(name, parameters[name])
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = OPTIMISATION_LEVELS.get(level, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    return options


def _find_mismatch(config: Config, session: ort.InferenceSession) -> str | None:
    """What of the configuration does not fit the graph, None where all fits."""
    graph_inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    graph_outputs = {tensor.name: tensor for tensor in session.get_outputs()}
    configured = [tensor["name"] for tensor in config["input"]]
    missing = sorted(set(graph_inputs) - set(configured))
    if missing:
        return f"the graph also wants the inputs {missing}, the configuration has only {configured}"
    batched = int(config.get("max_batch_size", 0)) > 0
    for kind, tensors, graph in (("input", config["input"], graph_inputs), ("output", config["output"], graph_outputs)):
        for tensor in tensors:
            if tensor["name"] not in graph:
                return f"the graph has no {kind} {tensor['name']!r}, only {sorted(graph)}"
            problem = _find_difference(tensor, graph[tensor["name"]], batched)
            if problem:
                return f"{kind} {tensor['name']!r}: {problem}"
    return None


def _find_difference(tensor: Config, graph: Any, batched: bool) -> str | None:
    """How a configured tensor differs from the graph's, None where it does not."""
    known = TRITON_TYPES.get(graph.type)
    if known is None:
        return f"the graph's {graph.type} cannot be served by this backend"
    if tensor["data_type"] != known:
        return f"the configuration says {tensor['data_type']}, the graph {known}"
    dims = tensor.get("reshape", {}).get("shape", tensor["dims"])
    wanted = [-1 if isinstance(size, str) or size is None else size for size in graph.shape]
    given = [int(size) for size in dims]
    if batched:
        if wanted[:1] != [-1]:
            return f"max_batch_size is above 0, but the graph's first dimension is fixed: {graph.shape}"
        wanted = wanted[1:]
    if len(wanted) != len(given) or any(w not in (-1, g) for w, g in zip(wanted, given, strict=True)):
        return f"the configuration's dims {given} do not fit the graph's shape {graph.shape}"
    return None
