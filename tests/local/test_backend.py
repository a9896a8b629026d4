"""The Python-based backend that stands in for Triton's native onnxruntime backend, in a real Triton."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import tritonclient.grpc as tritonclient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

import tiny_models
from sosie.local.errors import LocalError
from sosie.local.triton import LocalTriton

pytestmark = pytest.mark.slow

Array = npt.NDArray[np.generic]
LIMIT = 10.0


def ask(triton: LocalTriton, model: str, outputs: list[str] | None = None, **inputs: Array) -> dict[str, Array]:
    """One request, its own connection."""
    tensors = []
    for name, array in inputs.items():
        tensor = tritonclient.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    requested = [tritonclient.InferRequestedOutput(name) for name in outputs] if outputs else None
    with tritonclient.InferenceServerClient(triton.grpc_address) as client:
        result = client.infer(model, tensors, outputs=requested, client_timeout=LIMIT)
        return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def run_directly(repository: Path, model: str, **inputs: Array) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(str(repository / model / "1" / "model.onnx"))
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


def at_once(calls: list[Callable[[], object]]) -> list[object]:
    """The results of calls made together; an exception is a result."""
    results: list[object] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def call(place: int) -> None:
        barrier.wait(LIMIT)
        try:
            results[place] = calls[place]()
        except InferenceServerException as error:
            results[place] = error

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT)
    return results


@pytest.mark.parametrize("count", [1, 3, 8])
def test_pictures_come_through_as_onnxruntime_sees_them(
    tiny_triton: LocalTriton, tiny_repository: Path, count: int
) -> None:
    """Outputs are those of onnxruntime run directly, to the last bit, for each batch size."""
    image = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)
    answer = ask(tiny_triton, "image", image=image)
    expected = run_directly(tiny_repository, "image", image=image)
    assert answer.keys() == expected.keys()
    for name, values in expected.items():
        assert answer[name].dtype == values.dtype
        np.testing.assert_array_equal(answer[name], values)


@pytest.mark.parametrize("length", [1, 7, 128])
def test_sentences_may_have_any_length(tiny_triton: LocalTriton, length: int) -> None:
    """int64 tokens of a dimension that varies keep their values."""
    tokens = np.random.default_rng(length).integers(0, 2**40, (2, length), np.int64)
    answer = ask(tiny_triton, "tokens", tokens=tokens)["total"]
    np.testing.assert_array_equal(answer, tokens.sum(1, keepdims=True))


def test_requests_of_one_moment_are_run_together(tiny_triton: LocalTriton) -> None:
    """Requests that meet in a dynamic batch need fewer runs than requests, and each gets its own rows."""
    before = read_counts(tiny_triton)
    pictures = [np.full((1 + number % 2, 8, 8, 3), number, np.uint8) for number in range(16)]
    answers = at_once([lambda p=p: ask(tiny_triton, "image", image=p)["mean"] for p in pictures])  # type: ignore[misc]
    for number, (picture, answer) in enumerate(zip(pictures, answers, strict=True)):
        np.testing.assert_array_equal(np.asarray(answer), np.full((len(picture), 3), number, np.float32))
    inferences, runs = (after - b for after, b in zip(read_counts(tiny_triton), before, strict=True))
    assert inferences == 24
    assert runs < 16


def read_counts(triton: LocalTriton) -> tuple[int, int]:
    with tritonclient.InferenceServerClient(triton.grpc_address) as client:
        stats = client.get_inference_statistics("image", client_timeout=LIMIT).model_stats[0]
        return stats.inference_count, stats.execution_count


def test_only_what_was_asked_for_comes_back(tiny_triton: LocalTriton) -> None:
    """A request for one output of two gets that one, beside neighbours that ask for others."""
    picture = np.ones((1, 8, 8, 3), np.uint8)
    wanted = [["mean"], ["total"], ["mean", "total"]] * 2
    answers = at_once([lambda w=w: ask(tiny_triton, "image", w, image=picture) for w in wanted])  # type: ignore[misc]
    assert [sorted(answer) for answer in answers] == wanted  # type: ignore[call-overload]


def test_a_bad_request_does_not_fail_its_neighbours(tiny_triton: LocalTriton) -> None:
    """Where one request's values break the run of the whole batch, the others still get their answers."""
    indices = [1, 2, 99, 3]
    answers = at_once(
        [lambda i=i: ask(tiny_triton, "lookup", index=np.array([[i]], np.int64))["row"] for i in indices]  # type: ignore[misc]
    )
    assert isinstance(answers[2], InferenceServerException)
    assert "onnxruntime:" in str(answers[2])
    for place in (0, 1, 3):
        np.testing.assert_array_equal(np.asarray(answers[place]), tiny_models.TABLE[[indices[place]]])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"image": np.zeros((1, 8, 8, 4), np.uint8)}, ["shape", "[-1,8,8,3]"]),
        ({"image": np.zeros((1, 8, 8, 3), np.float32)}, ["data-type", "UINT8"]),
        ({"picture": np.zeros((1, 8, 8, 3), np.uint8)}, ["picture"]),
        ({"image": np.zeros((9, 8, 8, 3), np.uint8)}, ["batch", "8"]),
    ],
    ids=["shape", "type", "name", "batch"],
)
def test_a_wrong_input_is_refused_by_name(tiny_triton: LocalTriton, inputs: dict[str, Array], words: list[str]) -> None:
    """A wrong shape, type, name or batch size is answered with what was expected."""
    with pytest.raises(InferenceServerException) as caught:
        ask(tiny_triton, "image", None, **inputs)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (tiny_models.IMAGE_CONFIG.replace("TYPE_FP32 dims: [ 3 ]", "TYPE_FP16 dims: [ 3 ]"), "output 'mean'"),
        (tiny_models.IMAGE_CONFIG.replace("[ 8, 8, 3 ]", "[ 9, 8, 3 ]"), "dims [9, 8, 3] do not fit"),
        (tiny_models.IMAGE_CONFIG.replace('"total"', '"sum"'), "no output 'sum'"),
        (tiny_models.IMAGE_CONFIG.replace('"image"', '"picture"'), "also wants the inputs ['image']"),
        (tiny_models.IMAGE_CONFIG + "instance_group [ { kind: KIND_GPU } ]\n", "GPU"),
        (tiny_models.IMAGE_CONFIG + 'default_model_filename: "other.onnx"\n', "other.onnx"),
    ],
    ids=["type", "dims", "output", "input", "gpu", "file"],
)
def test_a_config_that_does_not_fit_its_graph_is_refused(tmp_path: Path, config: str, words: str) -> None:
    """The start names the model and what does not fit, in one line, and leaves no server."""
    tiny_models.write_model(tmp_path / "repository" / "odd", tiny_models.image_graph(), config)
    triton = LocalTriton(tmp_path / "repository", tmp_path)
    with pytest.raises(LocalError) as caught:
        triton.start()
    assert "odd" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(LocalError, match="not started"):
        _ = triton.server


def test_native_settings_are_taken(tmp_path: Path) -> None:
    """Thread counts, execution mode, optimisation level and the model's file name are honoured."""
    settings = {"intra_op_thread_count": 1, "inter_op_thread_count": 1, "execution_mode": 1}
    settings_text = "".join(
        f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}\n' for name, value in settings.items()
    )
    config = f"{tiny_models.IMAGE_CONFIG}{settings_text}optimization {{ graph {{ level: 2 }} }}\n"
    folder = tmp_path / "repository" / "set"
    tiny_models.write_model(folder, tiny_models.image_graph(), config + 'default_model_filename: "graph.onnx"\n')
    # The scan looks for model.onnx; Triton is to take the other.
    (folder / "1" / "model.onnx").rename(folder / "1" / "graph.onnx")
    (folder / "1" / "model.onnx").write_bytes(b"not a graph")
    with LocalTriton(tmp_path / "repository", tmp_path) as triton:
        picture = np.full((2, 8, 8, 3), 7, np.uint8)
        np.testing.assert_array_equal(ask(triton, "set", image=picture)["mean"], np.full((2, 3), 7, np.float32))


def test_many_requests_leave_no_complaint_in_the_log(tiny_triton: LocalTriton) -> None:
    """Passing tensors between NumPy 2 and the stub is quiet, so the memory has one owner."""
    picture = np.ones((8, 8, 8, 3), np.uint8)
    for _ in range(10):
        at_once([lambda: ask(tiny_triton, "image", image=picture)] * 8)
    assert "Traceback" not in tiny_triton.log.read_text()
