"""The production models on the local tritonserver: as their committed configs say, with random weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as tritonclient
from google.protobuf import text_format
from PIL import Image
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import np_to_triton_dtype

from sosie.local.stack import LocalStack
from sosie.local.triton import LocalTriton
from sosie.training.committed import MODELS, committed_configs
from sosie.training.graph import FLOAT, INT64, UINT8, GraphBuilder
from sosie.training.repository import CONFIG, GRAPH
from sosie.training.served import ServedModel
from stack_fixtures import must_sosie

pytestmark = pytest.mark.slow

COMMITTED = Path(__file__).parents[2] / "model_repository"
LIMIT = 30.0
KINDS = {"UINT8": UINT8, "INT64": INT64}


def cheap_graph(model: ServedModel, seed: int) -> bytes:
    """A random matrix an output over the input's mean along all axes but its last: the model's shapes, not its cost."""
    rng = np.random.default_rng(seed)
    graph = GraphBuilder(model.name)
    accepted = graph.input(model.accepts.name, KINDS[model.accepts.dtype], ["n", *model.accepts.dims])
    rows = graph.node("Flatten", graph.node("Cast", accepted, to=FLOAT), axis=1)
    if len(model.accepts.dims) > 1:
        rows = graph.node("ReduceMean", graph.node("Cast", accepted, to=FLOAT), graph.integers(1, 2), keepdims=0)
    width = model.accepts.dims[-1]
    for answer in model.answers:
        (size,) = answer.dims
        vectors = graph.linear(answer.name, rows, rng.normal(size=(width, size)), rng.normal(size=size))
        graph.output(answer.name, graph.unit(vectors), ["n", size])
    data: bytes = graph.model().SerializeToString()
    return data


@pytest.fixture(scope="module")
def cheap_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """A real Triton that serves a copy of each committed config over a cheap graph."""
    repository = tmp_path_factory.mktemp("committed")
    for seed, model in enumerate(MODELS):
        (repository / model.name / GRAPH).parent.mkdir(parents=True)
        (repository / model.name / CONFIG).write_bytes((COMMITTED / model.name / CONFIG).read_bytes())
        (repository / model.name / GRAPH).write_bytes(cheap_graph(model, seed))
    with LocalTriton(repository, tmp_path_factory.mktemp("triton")) as triton:
        yield triton


@pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])
def test_committed_config_loads_and_answers(cheap_triton: LocalTriton, model: ServedModel) -> None:
    """Each committed config loads in the real server, and the model answers a full batch in its own shapes."""
    config = text_format.Parse(committed_configs()[f"{model.name}/{CONFIG}"].decode(), model_config_pb2.ModelConfig())
    batch = np.ones((config.max_batch_size, *model.accepts.dims), model.accepts.dtype.lower())
    tensor = tritonclient.InferInput(model.accepts.name, batch.shape, np_to_triton_dtype(batch.dtype))
    tensor.set_data_from_numpy(batch)

    with tritonclient.InferenceServerClient(cheap_triton.grpc_address) as client:
        result = client.infer(model.name, [tensor], priority=1, client_timeout=LIMIT)

    for answer in model.answers:
        values = result.as_numpy(answer.name)
        assert values.shape == (len(batch), *answer.dims)
        np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)


@pytest.mark.timeout(900)
def test_random_resnet152_classifies(tmp_path: Path) -> None:
    """resnet152 with random weights, built among the committed configs, answers `sosie classify` with its labels."""
    repository, state = tmp_path / "models", tmp_path / "state"
    for path, config in committed_configs().items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_bytes(config)
    built = must_sosie("models", "build", "resnet152", "--random", "--repository", repository)
    assert "least cosines: probabilities 1.000000, logits 1.000000, features 1.000000" in built
    picture = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3)).astype(np.uint8)).save(picture)

    told: list[str] = []
    with LocalStack(repository, state, say=told.append) as stack:
        shown = must_sosie("classify", picture, "--address", stack.addresses["gateway"])

    assert shown.splitlines()[1].startswith("imagenet  1")
    assert [line for line in told if "clip_image" in line] == [
        "skipping the model clip_image: it has no weights (1/model.onnx)"
    ]
