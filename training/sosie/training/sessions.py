"""Opens ONNX graphs in onnxruntime, on the processor."""

import onnxruntime

THREADS = 2


def open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """A session over the bytes of an ONNX file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; its warnings concern graphs in general
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
