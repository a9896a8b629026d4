"""How much faster models that look at pictures are in 8-bit integers, and how near they stay to float32.

    python benchmarks/int8.py [--repository DIR] [--pictures DIR] [--rounds N]

Builds the bundles `mini` and `clip` (ViT-B-32, random weights) into DIR unless they are there, quantises each image
encoder of DIR as `--precision int8` does, a classifier too, and lets both sessions compute the same batches in turns,
on one core. What other processes take does not count: times are the processor's, of this process. Cosines are of
pictures that no scales were found with; those of random weights say little about trained ones.
"""

import sosie.training.offline  # noqa: F401  # before onnxruntime is imported

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from sosie.engine.inference import ImageInput, Pictures
from sosie.training.clip.integers import is_convolutional
from sosie.training.precision import Calibration, read_calibration
from sosie.training.quantisation import compare, quantise_dynamic, quantise_static
from sosie.training.repository import GRAPH, read_entries

BATCH = 4
BUNDLES = {"mini_image": ("mini",), "clip_image": ("clip", "--random")}
SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "luma"


def build_missing(repository: Path) -> None:
    """Builds the bundles whose image encoder is not there."""
    for name, bundle in BUNDLES.items():
        if not (repository / name / GRAPH).is_file():
            print(f"building {' '.join(bundle)}", flush=True)
            command = [sys.executable, "-m", "sosie.client", "models", "build", *bundle]
            command += ["--repository", str(repository)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1800)


def open_on_one_core(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def time_in_turns(
    sessions: Sequence[onnxruntime.InferenceSession], pictures: Pictures, rounds: int
) -> list[list[float]]:
    """The processor's seconds a picture of each session in each round; who begins changes from round to round."""
    seconds: list[list[float]] = [[] for _ in sessions]
    for round_number in range(-1, rounds):  # the first warms up
        start = BATCH * (round_number % (len(pictures) // BATCH))
        places = range(len(sessions)) if round_number % 2 else reversed(range(len(sessions)))
        for place in places:
            began = time.process_time()
            sessions[place].run(None, {"image": pictures[start : start + BATCH]})
            if round_number >= 0:
                seconds[place].append((time.process_time() - began) / BATCH)
    return seconds


def measure(name: str, graph: bytes, pictures: Calibration, rounds: int) -> None:
    """Prints the model's line."""
    static = is_convolutional(graph)
    quantised = quantise_static(graph, pictures.calibrating) if static else quantise_dynamic(graph)
    found = compare(graph, quantised, {"image": pictures.judging})
    plain, integer = time_in_turns([open_on_one_core(graph), open_on_one_core(quantised)], pictures.judging, rounds)
    ratios = sorted(before / after for before, after in zip(plain, integer, strict=True))
    quartiles = statistics.quantiles(ratios, n=4)
    speed = [1 / statistics.median(seconds) for seconds in (plain, integer)]
    print(
        f"{name:<16}{'static' if static else 'dynamic':<9}{len(graph) / 1e6:6.0f}{len(quantised) / 1e6:6.0f}"
        f"{speed[0]:8.1f}{speed[1]:8.1f}{quartiles[1]:7.2f} ({quartiles[0]:.2f} to {quartiles[2]:.2f})  "
        + ", ".join(f"{output} {cosines.least:.4f} / {cosines.mean:.4f}" for output, cosines in found.items()),
        flush=True,
    )


def main() -> None:
    """Builds what is missing, then a line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, metavar="DIR")
    parser.add_argument("--pictures", type=Path, metavar="DIR", default=SHARED)
    parser.add_argument("--rounds", type=int, default=24, metavar="N")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repository = arguments.repository or Path(folder) / "models"
        build_missing(repository)
        pictures = read_calibration(arguments.pictures, ImageInput(224), print)
        print(f"onnxruntime {onnxruntime.__version__}, one core, batches of {BATCH}, {arguments.rounds} rounds")
        print("model           how       MB fp32, int8   pictures/s   ratio (quartiles)     cosine least / mean")
        for entry in read_entries(repository):
            if entry.role != "text_encoder":
                measure(entry.name, (repository / entry.name / GRAPH).read_bytes(), pictures, arguments.rounds)


if __name__ == "__main__":
    main()
