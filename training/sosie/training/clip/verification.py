"""Holds the graphs of both towers to what open_clip's network and the reference of the colour part compute."""

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import numpy.typing as npt
import onnxruntime

from sosie.engine.inference import Pictures
from sosie.training.errors import VerificationError
from sosie.training.heads import Floats
from sosie.training.vectors import cosines

LEAST_COSINE = 0.9999
"""Of a part to what torch computes; the graphs of float32 that were tried come to 1.0000."""
LEAST_HALF_COSINE = 0.999
"""As LEAST_COSINE, of half precision."""
LEAST_CENTRED_COSINE = 0.99
"""As LEAST_COSINE, the mean of all rows taken off: random weights make vectors that are alike whatever is asked."""
RUN_TIMEOUT = 900.0
"""Seconds that a graph may take for the few inputs that are compared."""

_ALIKE = 1e-6  # a row that is nearer to the mean has no direction of its own
_THREADS = 2


def draw_pictures(size: int) -> Pictures:
    """Eight pictures [8, size, size, 3]: noise, shades, and things of one colour on a background."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:size, :size] / size
    pictures = [rng.integers(0, 256, (size, size, 3)), np.stack([x, y, (x + y) / 2], axis=-1) * 255]
    for _ in range(6):
        picture = np.full((size, size, 3), rng.integers(0, 256, 3))
        row, column, radius = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.15, 0.4)
        picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.integers(0, 256, 3)
        picture[:: max(1, size // 9)] = rng.integers(0, 256, 3)
        pictures.append(picture)
    return np.stack(pictures).astype(np.uint8)


def verify_parts(name: str, expected: Mapping[str, Floats], found: Mapping[str, Floats], *, half: bool = False) -> None:
    """Raises VerificationError where a part of the model `name`, [n, size], is not what is expected of it."""
    for part, rows in expected.items():
        least = LEAST_HALF_COSINE if half and part != "colour" else LEAST_COSINE
        _check(name, part, cosines(rows, found[part]), least)
        if least == LEAST_COSINE:
            own = rows - rows.mean(0)
            apart = np.linalg.norm(own, axis=1) > _ALIKE * np.sqrt(rows.shape[1])
            _check(name, part, cosines(own, found[part] - rows.mean(0))[apart], LEAST_CENTRED_COSINE)


def run_graph(graph: bytes, feeds: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Floats]:
    """The outputs by name, each [n, size].

    The session leaves out onnxruntime's changes of layout: on a processor they break on half precision.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = _THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def try_graph(graph: bytes, feeds: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Floats] | None:
    """As `run_graph`, in a process of its own; None where onnxruntime cannot run the graph on this processor.

    It has few kernels of half precision there, and the process has been seen to end with a segmentation fault.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(run_graph, graph, feeds).result(RUN_TIMEOUT)
        except (BrokenProcessPool, TimeoutError, RuntimeError):  # onnxruntime's own errors are RuntimeErrors
            for process in (pool._processes or {}).values():  # noqa: SLF001  # else a hanging one is waited for
                process.kill()
            return None


def _check(name: str, part: str, found: npt.NDArray[np.float64], least: float) -> None:
    cosine = float(found.min(initial=1.0))
    if not cosine >= least:  # NaN fails too
        raise VerificationError(
            f"{name}: a vector of the part {part} has cosine {cosine:.5f} to what torch computes, at least {least} is "
            "needed; try another version of torch or onnxruntime"
        )
