"""Writes Triton's config.pbtxt, and reads the parameters back.

The form is the text format of protocol buffers. Triton's own message type comes with its client, which only the
engine's inference imports, and the few fields that are needed here are easily written.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from sosie.engine.inference import ImageInput, TextInput
from sosie.engine.space import EmbeddingSpace


@dataclass(frozen=True)
class Symbol:
    """The name of an enumeration's value, which is written without quotes."""

    name: str


Field: TypeAlias = "str | int | bool | Symbol | Message | Sequence[int] | Sequence[Message]"
Message: TypeAlias = Mapping[str, "Field"]

HEADER = "# Made by sosie: docs/models.md tells how, and what may be changed.\n"
"""The first line of the configs that are committed without weights: their folders may be built into."""
MAX_BATCH = 32
WARM_UP = (1, 8)
QUEUE_DELAY_US = 500
"""How long a request may wait for others to share its execution, in microseconds."""
MAX_QUEUE = 256
"""Requests that wait for a model before further ones are refused."""
MAX_WAIT_US = 10_000_000
"""How long a request may wait in the queue, in microseconds; a caller may ask for less."""


@dataclass(frozen=True)
class Tensor:
    """One input or output: Triton's type (e.g. UINT8) and its sizes without the batch; -1 is free."""

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Accelerator:
    """What computes on a GPU in place of the backend's own kernels, e.g. tensorrt, with its options."""

    name: str
    options: Mapping[str, str]


def describe_encoder(
    role: str, space: EmbeddingSpace, accepted: ImageInput | TextInput, further: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The parameters of an encoder: `role` is image_encoder or text_encoder."""
    return {"role": role, "space": space.to_json(), "input": json.dumps(asdict(accepted)), **(further or {})}


def describe_classifier(
    label_set: str, labels: Sequence[str], accepted: ImageInput, further: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The parameters of a classifier."""
    return {
        "role": "classifier",
        "label_set": label_set,
        "labels": json.dumps(list(labels)),
        "input": json.dumps(asdict(accepted)),
        **(further or {}),
    }


def write_config(
    name: str,
    *,
    accepts: Tensor,
    answers: Sequence[Tensor],
    parameters: Mapping[str, str],
    threads: int,
    instances: int = 1,
    max_batch: int = MAX_BATCH,
    warm_up: Iterable[int] = WARM_UP,
    max_wait_us: int = MAX_WAIT_US,
    kind: str = "",
    accelerator: Accelerator | None = None,
) -> str:
    """The config.pbtxt of an ONNX model with one input and a free batch size.

    `threads` is how many of the processor's cores one execution may use, `instances` how many run side by side, `kind`
    where (e.g. KIND_GPU; Triton's choice unless given). Batches of the sizes `warm_up` are computed before the model is
    ready; `max_wait_us` is MAX_WAIT_US unless given.
    """
    # Zeros are right for every input; random numbers would be no tokens. A free size is that of a short sentence.
    warm_dims = [8 if size < 0 else size for size in accepts.dims]
    sample: Message = {"data_type": Symbol(f"TYPE_{accepts.dtype}"), "dims": warm_dims, "zero_data": True}
    settings = {"intra_op_thread_count": str(threads), "inter_op_thread_count": "1", **parameters}
    return _render(
        {
            "name": name,
            "backend": "onnxruntime",
            "max_batch_size": max_batch,
            "input": [_tensor(accepts)],
            "output": [_tensor(answer) for answer in answers],
            "instance_group": [{"count": instances, **({"kind": Symbol(kind)} if kind else {})}],
            **({"optimization": _accelerate(accelerator)} if accelerator else {}),
            "dynamic_batching": {
                "max_queue_delay_microseconds": QUEUE_DELAY_US,
                "priority_levels": 2,  # questions ask for 1, indexing for nothing and gets 2
                "default_priority_level": 2,
                "default_queue_policy": {
                    "timeout_action": Symbol("REJECT"),
                    "default_timeout_microseconds": max_wait_us,
                    "allow_timeout_override": True,
                    "max_queue_size": MAX_QUEUE,
                },
            },
            "model_warmup": [
                {
                    "name": f"batch_{size}",
                    "batch_size": size,
                    "inputs": {"key": accepts.name, "value": sample},
                }
                for size in warm_up
            ],
            "parameters": [{"key": key, "value": {"string_value": text}} for key, text in settings.items()],
        }
    )


_STRING = r'"((?:[^"\\]|\\.)*)"'
_PARAMETER = re.compile(rf"key\s*:\s*{_STRING}\s*value\s*:?\s*\{{\s*string_value\s*:\s*{_STRING}")


def read_parameters(config: str) -> dict[str, str]:
    """The string parameters of a config.pbtxt that `write_config` wrote."""
    return {_unquote(key): _unquote(value) for key, value in _PARAMETER.findall(config)}


def _accelerate(accelerator: Accelerator) -> Message:
    options = [{"key": key, "value": value} for key, value in accelerator.options.items()]
    chosen: Message = {"name": accelerator.name, "parameters": options}
    return {"execution_accelerators": {"gpu_execution_accelerator": [chosen]}}


def derive_config(config: str, *, name: str, parameters: Mapping[str, str], answers: Sequence[Tensor]) -> str:
    """The config of a model made from another: with a name of its own, other values of parameters, further outputs.

    `config` is one that `write_config` wrote, which has the parameters already. Paths that end in the old name, those
    of TensorRT's cached engines, end in the new one.
    """
    old = re.search(rf"^name: {_STRING}", config, re.MULTILINE)
    if old is None:
        raise ValueError("the config names no model")
    derived = config.replace(f'/{old[1]}"', f'/{name}"').replace(old[0], f"name: {_quote(name)}", 1)

    def replace(found: re.Match[str]) -> str:
        key, value = _unquote(found[1]), found[2]
        return found[0].replace(f'"{value}"', _quote(parameters[key])) if key in parameters else found[0]

    derived = _PARAMETER.sub(replace, derived)
    added = "".join(f"{line}\n" for answer in answers for line in _block("output", _tensor(answer)))
    before, output, after = derived.partition("output {")
    return before + added + output + after


def _tensor(tensor: Tensor) -> Message:
    return {"name": tensor.name, "data_type": Symbol(f"TYPE_{tensor.dtype}"), "dims": list(tensor.dims)}


def _render(message: Message) -> str:
    return "\n".join(_lines(message)) + "\n"


def _lines(message: Message) -> Iterator[str]:
    for key, value in message.items():
        if isinstance(value, Mapping):
            yield from _block(key, value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if all(isinstance(item, int) for item in value):
                yield f"{key}: [{', '.join(str(item) for item in value)}]"
            else:
                for item in value:
                    yield from _block(key, item)  # type: ignore[arg-type]  # mixed lists are not built
        else:
            yield f"{key}: {_scalar(value)}"


def _block(key: str, message: Message) -> Iterator[str]:
    yield f"{key} {{"
    yield from (f"  {line}" for line in _lines(message))
    yield "}"


def _scalar(value: str | int | bool | Symbol) -> str:
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quote(value) if isinstance(value, str) else str(value)


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MEANT = {escaped[1]: plain for plain, escaped in _ESCAPES.items()}


def _quote(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(letter, letter) for letter in text) + '"'


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _MEANT.get(match[1], match[1]), text)
