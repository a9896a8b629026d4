"""How the production models are served: each model's tensors, and its configs for a CPU, a GPU and TensorRT.

A folder holds three configs. `config.pbtxt` is for processors, the local tritonserver's too. Triton's official
container takes another of `configs/` with `--model-config-name gpu` or `tensorrt`.

The GPU's settings are parameters of the model, not of a "cuda" execution accelerator: the backend reads both, and where
a model has parameters at all, a limit that is not among them is set to all memory (LoadModel in its onnxruntime.cc).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sosie.training.triton_config import HEADER, Accelerator, Tensor, write_config

CPU, GPU, TENSORRT = "config.pbtxt", "configs/gpu.pbtxt", "configs/tensorrt.pbtxt"
CPU_BATCH = 4
"""Batches gain nothing on a processor: small ones let a question in sooner, and all sizes are warmed up in seconds."""
CPU_WAIT_US = 60_000_000
"""As long as the indexer waits: two cores take 8 s and more for the four batches of 32 pictures that it has going."""
GPU_BATCH = 32
GPU_BEST_BATCH = 8
"""What TensorRT tunes its engine for: what a few callers at once make."""
WORKSPACE_BYTES = 2 << 30
"""Memory that TensorRT may use while it chooses its kernels."""
ENGINE_CACHE = "/var/cache/sosie/tensorrt"
"""Where TensorRT keeps its engines, a folder a model; mount a volume there, or each start builds them anew."""


@dataclass(frozen=True)
class ServedModel:
    """What of a model's configs does not depend on its weights.

    `threads` is the cores for one execution on a processor, `instances` how many run side by side there. `gpu_memory`
    is the most, in bytes, that its arena may take of a GPU.
    """

    name: str
    accepts: Tensor
    answers: tuple[Tensor, ...]
    gpu_memory: int
    threads: int = 1
    instances: int = 1


def resnet152(classes: int = 1000, *, name: str = "resnet152", size: int = 224) -> ServedModel:
    """The classifier, with its logits and pooled features beside the probabilities."""
    answers = (("probabilities", classes), ("logits", classes), ("features", 2048))
    return ServedModel(name, _image(size), _floats(*answers), gpu_memory=4 << 30)


def clip_image(look: int = 512, colour: int = 131, *, name: str = "clip_image", size: int = 224) -> ServedModel:
    """The image tower, as large as ViT-B-32's unless told otherwise."""
    answers = (("look", look), ("colour", colour))
    return ServedModel(name, _image(size), _floats(*answers), gpu_memory=4 << 30, instances=2)


def clip_text(look: int = 512, words: int = 512, *, name: str = "clip_text", length: int = 77) -> ServedModel:
    """The text tower, as large as ViT-B-32's unless told otherwise; sentences are `length` tokens long."""
    accepts = Tensor("tokens", "INT64", (length,))
    return ServedModel(name, accepts, _floats(("look", look), ("words", words)), gpu_memory=2 << 30)


def write_configs(model: ServedModel, parameters: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """The configs by their paths in the model's folder; `parameters` are its self-description."""
    described = parameters or {}
    on_gpu = {
        "gpu_mem_limit": str(model.gpu_memory),
        "arena_extend_strategy": "1",  # as much as is asked for: doubled, the arena never gives back what a burst took
        "cudnn_conv_algo_search": "1",  # by heuristic: an exhaustive search is made anew for each size of batch
        **described,
    }

    def write(parameters: Mapping[str, str], batch: int, **further: object) -> bytes:
        # The largest first: the arena is laid out once, and TensorRT has its range after two sizes.
        config = write_config(
            model.name,
            accepts=model.accepts,
            answers=model.answers,
            parameters=parameters,
            threads=model.threads,
            max_batch=batch,
            warm_up=(batch, *range(1, batch)),
            **further,  # type: ignore[arg-type]  # the two calls below
        )
        return (HEADER + config).encode()

    return {
        CPU: write(described, CPU_BATCH, instances=model.instances, max_wait_us=CPU_WAIT_US),
        GPU: write(on_gpu, GPU_BATCH, kind="KIND_GPU"),
        TENSORRT: write(on_gpu, GPU_BATCH, kind="KIND_GPU", accelerator=_tensorrt(model)),
    }


def _tensorrt(model: ServedModel) -> Accelerator:
    """Half precision, one engine for all batch sizes, kept on disk."""

    def shape(batch: int) -> str:
        return f"{model.accepts.name}:{'x'.join(str(size) for size in (batch, *model.accepts.dims))}"

    return Accelerator(
        "tensorrt",
        {
            "precision_mode": "FP16",
            "max_workspace_size_bytes": str(WORKSPACE_BYTES),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": f"{ENGINE_CACHE}/{model.name}",
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": f"{ENGINE_CACHE}/{model.name}",
            "trt_profile_min_shapes": shape(1),
            "trt_profile_opt_shapes": shape(GPU_BEST_BATCH),
            "trt_profile_max_shapes": shape(GPU_BATCH),
        },
    )


def _image(size: int) -> Tensor:
    return Tensor("image", "UINT8", (size, size, 3))


def _floats(*outputs: tuple[str, int]) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, "FP32", (size,)) for name, size in outputs)
