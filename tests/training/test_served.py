"""The committed configs of the production models: as generated, and in fields that Triton knows."""

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from sosie.engine.inference import ImageInput
from sosie.training.committed import MODELS, committed_configs, write_committed
from sosie.training.served import CPU, GPU, TENSORRT, ServedModel, resnet152, write_configs
from sosie.training.triton_config import HEADER, describe_classifier, read_parameters

REPOSITORY = Path(__file__).parents[2] / "model_repository"
NAMES = [model.name for model in MODELS]


def parse(config: bytes) -> model_config_pb2.ModelConfig:
    """The config as Triton reads it; a field that Triton does not know is an error."""
    return text_format.Parse(config.decode(), model_config_pb2.ModelConfig())


def without_description(config: bytes, serving: bytes) -> model_config_pb2.ModelConfig:
    """The config with no parameters but those that `serving` has."""
    parsed = parse(config)
    for name in set(parsed.parameters) - set(parse(serving).parameters):
        del parsed.parameters[name]
    return parsed


@pytest.mark.parametrize("path", committed_configs())
def test_committed_as_generated(path: str) -> None:
    """A committed config is what `python -m sosie.training.committed` writes; a build adds the description alone."""
    expected = committed_configs()[path]
    committed = (REPOSITORY / path).read_bytes()

    assert committed.decode().startswith(HEADER)
    assert without_description(committed, expected) == parse(expected)
    assert committed == expected or "role" in read_parameters(committed.decode())


def test_written_anew(tmp_path: Path) -> None:
    """The command's function writes these files and no others."""
    write_committed(tmp_path)

    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == committed_configs()
    assert {path.split("/")[0] for path in found} == set(NAMES)


@pytest.mark.parametrize("path", [CPU, GPU, TENSORRT])
@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_batches_and_queue(model: ServedModel, path: str) -> None:
    """Every size of batch is warmed up, the queue is bounded, and questions go before the rest."""
    config = parse(write_configs(model)[path])

    batching = config.dynamic_batching
    policy = batching.default_queue_policy
    sizes = [sample.batch_size for sample in config.model_warmup]
    assert sorted(sizes) == list(range(1, config.max_batch_size + 1))
    assert sizes[0] == config.max_batch_size
    assert batching.max_queue_delay_microseconds > 0
    assert (batching.priority_levels, batching.default_priority_level) == (2, 2)
    assert 0 < policy.max_queue_size <= 1024
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert config.backend == "onnxruntime"


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_processor(model: ServedModel) -> None:
    """The config for processors names no kind of instance: the local server takes none but its own."""
    config = parse(write_configs(model)[CPU])

    assert [group.kind for group in config.instance_group] == [model_config_pb2.ModelInstanceGroup.KIND_AUTO]
    assert config.max_batch_size <= 8
    assert "gpu_mem_limit" not in config.parameters


@pytest.mark.parametrize("path", [GPU, TENSORRT])
@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_gpu(model: ServedModel, path: str) -> None:
    """On a GPU the arena is bounded and grows by what is asked for, and batches go to 32."""
    config = parse(write_configs(model)[path])

    assert [group.kind for group in config.instance_group] == [model_config_pb2.ModelInstanceGroup.KIND_GPU]
    assert 1 << 30 <= int(config.parameters["gpu_mem_limit"].string_value) <= 8 << 30
    assert config.parameters["arena_extend_strategy"].string_value == "1"
    assert config.max_batch_size == 32
    accelerators = [one.name for one in config.optimization.execution_accelerators.gpu_execution_accelerator]
    assert accelerators == (["tensorrt"] if path == TENSORRT else [])


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_tensorrt(model: ServedModel) -> None:
    """TensorRT keeps its engines, and has one profile from the smallest batch to the largest."""
    config = parse(write_configs(model)[TENSORRT])

    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    options = accelerator.parameters
    dims = "x".join(str(size) for size in model.accepts.dims)
    assert options["precision_mode"] == "FP16"
    assert options["trt_engine_cache_enable"] == "1"
    assert options["trt_engine_cache_path"].endswith(model.name)
    assert options["trt_profile_min_shapes"] == f"{model.accepts.name}:1x{dims}"
    assert options["trt_profile_opt_shapes"] == f"{model.accepts.name}:8x{dims}"
    assert options["trt_profile_max_shapes"] == f"{model.accepts.name}:{config.max_batch_size}x{dims}"


def test_description() -> None:
    """A build completes all three configs with the model's description."""
    labels = ["cat", "dog"]
    parameters = describe_classifier("pets", labels, ImageInput(224), {"weights": "pets.pth"})
    for config in write_configs(resnet152(2, name="pets"), parameters).values():
        found = read_parameters(config.decode())
        assert {name: found[name] for name in parameters} == parameters
        assert json.loads(found["labels"]) == labels
        assert [(output.name, output.dims[0]) for output in parse(config).output] == [
            ("probabilities", 2),
            ("logits", 2),
            ("features", 2048),
        ]
