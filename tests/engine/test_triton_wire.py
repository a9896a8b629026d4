"""Requests and replies of Triton's as bytes, compared with what protobuf makes and reads of them."""

from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from sosie.engine import triton_wire
from sosie.engine.errors import BackendError
from sosie.engine.triton_wire import InferenceCodec

SIZES = {"look": 3, "words": 200}


@pytest.fixture
def codec() -> InferenceCodec:
    return InferenceCodec("model", SIZES, priority=1)


def make_reply(rows: int, seed: int = 0, **sizes: int) -> Any:
    draw = np.random.default_rng(seed)
    reply = service_pb2.ModelInferResponse(model_name="model", model_version="1")
    for name, size in (sizes or SIZES).items():
        reply.outputs.add(name=name, datatype="FP32", shape=[rows, size])
        reply.raw_output_contents.append(draw.random((rows, size), np.float32).tobytes())
    return reply


@pytest.mark.parametrize("batch", [np.arange(384, dtype=np.uint8).reshape(2, 8, 8, 3), np.ones((1, 7), np.int64)])
def test_a_request_is_protobuf(codec: InferenceCodec, batch: Any) -> None:
    """What is written is the message that protobuf reads, the second time as the first."""
    for _ in range(2):
        request = service_pb2.ModelInferRequest.FromString(codec.write("input", batch))
        assert (request.model_name, request.parameters["priority"].uint64_param) == ("model", 1)
        (tensor,) = request.inputs
        assert (tensor.name, tensor.datatype) == ("input", batch.dtype.name.upper())
        assert tuple(tensor.shape) == batch.shape
        assert [output.name for output in request.outputs] == list(SIZES)
        assert request.raw_input_contents == [batch.tobytes()]


def test_a_view_is_written_in_order(codec: InferenceCodec) -> None:
    """A batch whose bytes do not lie in its own order is written in it."""
    batch = np.arange(12, dtype=np.int64).reshape(3, 4).T
    request = service_pb2.ModelInferRequest.FromString(codec.write("input", batch))
    np.testing.assert_array_equal(np.frombuffer(request.raw_input_contents[0], np.int64).reshape(4, 3), batch)


@pytest.mark.parametrize("rows", [1, 5])
def test_replies_are_read_as_protobuf_reads_them(codec: InferenceCodec, rows: int) -> None:
    """Every reply gives its own numbers, whether its layout is known or not."""
    for seed in range(3):
        reply = make_reply(rows, seed)
        found = codec.read(reply.SerializeToString(), rows)
        for name, raw in zip(SIZES, reply.raw_output_contents, strict=True):
            np.testing.assert_array_equal(found[name], np.frombuffer(raw, np.float32).reshape(rows, SIZES[name]))


def test_another_reply_of_the_same_length(codec: InferenceCodec) -> None:
    """A reply as long as one that is known, but laid out otherwise, is read by its own layout."""
    codec.read(make_reply(1).SerializeToString(), 1)
    swapped = make_reply(1, words=200, look=3)
    found = codec.read(swapped.SerializeToString(), 1)
    assert {name: values.size for name, values in found.items()} == SIZES
    np.testing.assert_array_equal(found["look"][0], np.frombuffer(swapped.raw_output_contents[1], np.float32))


def test_tensors_before_other_fields(codec: InferenceCodec) -> None:
    """Fields in another order than Triton's are read too, each time anew."""
    reply = make_reply(1)
    tensors = service_pb2.ModelInferResponse(raw_output_contents=reply.raw_output_contents).SerializeToString()
    del reply.raw_output_contents[:]
    for _ in range(2):
        found = codec.read(tensors + reply.SerializeToString(), 1)
        assert {name: values.size for name, values in found.items()} == SIZES


def cut_short() -> Any:
    reply = make_reply(1)
    reply.raw_output_contents[1] = reply.raw_output_contents[1][:-4]
    return reply


def of_doubles() -> Any:
    reply = make_reply(1)
    reply.outputs[0].datatype = "FP64"
    return reply


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (make_reply(2), r"FP32 \[2, 3\], its config promises FP32 \[1, 3\]"),
        (make_reply(1, look=3), r"answered \['look'\]"),
        (make_reply(1, look=3, word=200), r"answered \['look', 'word'\]"),
        (cut_short(), r"'words' is FP32 \[1, 200\]"),
        (of_doubles(), "'look' is FP64"),
    ],
    ids=["rows", "missing", "names", "short", "type"],
)
def test_a_wrong_reply(codec: InferenceCodec, reply: Any, message: str) -> None:
    """A reply that is not what the config promises is a fault in the set-up, named with its model."""
    codec.read(make_reply(1).SerializeToString(), 1)
    with pytest.raises(BackendError, match=f"model 'model'.*{message}"):
        codec.read(reply.SerializeToString(), 1)


def test_what_is_no_reply(codec: InferenceCodec) -> None:
    """Bytes that are no message are a fault in the set-up too."""
    with pytest.raises(BackendError, match="no ModelInferResponse"):
        codec.read(b"\xff" * 50, 1)


def test_what_is_remembered_is_bounded(codec: InferenceCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many shapes come, only so many are remembered."""
    monkeypatch.setattr(triton_wire, "_MAX_REMEMBERED", 4)
    for length in range(1, 20):
        codec.write("tokens", np.ones((1, length), np.int64))
        codec.read(make_reply(length).SerializeToString(), length)
    assert len(codec._heads) <= 4
    assert len(codec._layouts) <= 4
