"""What is sent to Triton over HTTP."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sosie.local.errors import ServerError
from sosie.local.kserve import Probe, TritonHTTP, shorten_reason
from sosie.local.ports import HOST, find_ports
from sosie.local.triton import LocalTriton


def make_config(**changes: Any) -> Mapping[str, Any]:
    return {
        "name": "image",
        "max_batch_size": 8,
        "input": [
            {"name": "image", "data_type": "TYPE_UINT8", "dims": ["224", "224", "3"]},
            {"name": "tokens", "data_type": "TYPE_INT64", "dims": ["-1"]},
            {"name": "hint", "data_type": "TYPE_FP32", "dims": ["1"], "optional": True},
        ],
        "output": [{"name": "look", "data_type": "TYPE_FP32", "dims": ["256"]}],
        **changes,
    }


def test_a_probe_holds_one_item_of_zeros() -> None:
    """Batch and varying dimensions are 1, optional inputs are left out, every output is asked for."""
    probe = Probe.from_config(make_config())
    head = json.loads(probe.head)
    assert [(tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in head["inputs"]] == [
        ("image", "UINT8", [1, 224, 224, 3]),
        ("tokens", "INT64", [1, 1]),
    ]
    assert [tensor["name"] for tensor in head["outputs"]] == ["look"]
    assert probe.tensors == bytes(224 * 224 * 3 + 8)


def test_a_model_without_batches_is_probed_without() -> None:
    """max_batch_size 0 puts no batch dimension before the others."""
    head = json.loads(Probe.from_config(make_config(max_batch_size=0)).head)
    assert head["inputs"][0]["shape"] == [224, 224, 3]


def test_a_reason_is_one_line_without_a_stack() -> None:
    """Of what a Python backend raises, the sentence stays."""
    raw = "Internal: TritonModelException: odd: no such file\n\nAt:\n  /backends/onnxruntime/model.py(66): initialize\n"
    assert shorten_reason(raw) == "odd: no such file"


def test_a_server_that_is_away_is_not_live() -> None:
    """Nobody listening is no exception but an answer."""
    assert not TritonHTTP(HOST, find_ports(triton=0)["triton"]).is_live(timeout=1)


@pytest.mark.slow
def test_an_unknown_model_is_the_servers_error(tiny_triton: LocalTriton) -> None:
    """The server's own words come back with its status."""
    with pytest.raises(ServerError, match="'nobody'") as caught:
        tiny_triton.http.read_config("nobody", timeout=5)
    assert caught.value.status == 404


@pytest.mark.slow
def test_every_model_answers_its_probe(tiny_triton: LocalTriton) -> None:
    """A probe built from a model's own configuration is a valid request."""
    assert set(tiny_triton.probes) == {"image", "tokens", "lookup"}
    for probe in tiny_triton.probes.values():
        tiny_triton.http.send(probe, timeout=10)
