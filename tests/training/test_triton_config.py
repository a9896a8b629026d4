"""Triton's config.pbtxt, written without its message types and read here with them."""

from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from sosie.training.triton_config import Tensor, read_parameters, write_config


def write(parameters: dict[str, str]) -> str:
    """A config with these parameters."""
    accepts, answers = (
        Tensor("tokens", "INT64", (-1,)),
        [Tensor("words", "FP32", (384,)), Tensor("meaning", "FP32", (2,))],
    )
    return write_config("mini_text", accepts=accepts, answers=answers, parameters=parameters, threads=3)


def parse(config: str) -> model_config_pb2.ModelConfig:
    """The config as Triton reads it."""
    return text_format.Parse(config, model_config_pb2.ModelConfig())


def test_fields() -> None:
    """The config says backend, tensors, batching with a bounded queue, one instance of no fixed kind, and threads."""
    config = parse(write({"role": "text_encoder"}))

    assert (config.name, config.backend, config.max_batch_size) == ("mini_text", "onnxruntime", 32)
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [
        ("tokens", model_config_pb2.TYPE_INT64, [-1])
    ]
    assert [(o.name, o.data_type, list(o.dims)) for o in config.output] == [
        ("words", model_config_pb2.TYPE_FP32, [384]),
        ("meaning", model_config_pb2.TYPE_FP32, [2]),
    ]
    assert [(group.count, group.kind) for group in config.instance_group] == [
        (1, model_config_pb2.ModelInstanceGroup.KIND_AUTO)
    ]
    policy = config.dynamic_batching.default_queue_policy
    assert 0 < policy.max_queue_size <= 1024
    assert 0 < policy.default_timeout_microseconds <= 60_000_000
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert policy.allow_timeout_override
    assert config.parameters["intra_op_thread_count"].string_value == "3"


def test_warm_up() -> None:
    """Models are warmed up with one row and with several, of fixed sizes and of zeros, which are tokens too."""
    config = parse(write({}))

    assert config.model_warmup[0].batch_size == 1
    assert len(config.model_warmup) > 1
    for sample in config.model_warmup:
        assert min(sample.inputs["tokens"].dims) > 0
        assert sample.inputs["tokens"].zero_data


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: not key.endswith("_count")), st.text()))
def test_any_text_survives(parameters: dict[str, str]) -> None:
    """Whatever text a parameter holds, Triton and `read_parameters` read it as it was written."""
    config = write(parameters)

    read = {key: value.string_value for key, value in parse(config).parameters.items()}
    assert {key: read[key] for key in parameters} == parameters
    assert read_parameters(config) == read
