"""What preparing a picture costs, and how near the embedding stays to that of the reference.

    python benchmarks/image_path.py [--images DIR] [--repository DIR] [--rounds N] [--photographs N]

The reference decodes the whole picture and resizes it once by Pillow's antialiased bicubic filter. Beside sosie's
`prepare` run the ways that other libraries make fast; those that are not installed are named with the line that
installs them. All prepare the same file in turns, round by round; times are the processor's, of this process, with one
thread. Ratios are to the reference, the median of the rounds'. Cosines are those of the embedding's parts, by the image
encoder of the bundle `mini`, which is built where DIR does not hold it: mean and least over all photographs. The line
"reference +-1" says what they are worth: there a tenth of the reference's values are one level off, as by rounding.

Photographs are those of scikit-learn and scikit-image, brought to each size, with a grain as sensors have it; or those
below --images.
"""

import sosie.training.offline  # noqa: F401  # before onnxruntime is imported

import argparse
import importlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import PIL
from PIL import Image, ImageOps

from sosie.engine.image import prepare
from sosie.engine.image_file import MAX_BYTES
from sosie.engine.inference import ImageInput

SIZES = ((300, 400), (1000, 1000), (2000, 2000), (4000, 3000))
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "JPEG": {"format": "JPEG", "quality": 90},
    "progressive": {"format": "JPEG", "quality": 90, "progressive": True},
    "PNG": {"format": "PNG", "compress_level": 3},
    "WebP": {"format": "WEBP", "quality": 85},
}
INPUT = ImageInput(224, "longest")
CONTROL = "reference +-1"
GRAIN = 2.0  # standard deviation, levels out of 255

Pixels = npt.NDArray[np.uint8]
Preparer = Callable[[bytes], Pixels]


def read_photographs(folder: Path | None, count: int) -> Iterator[Image.Image]:
    """At most `count`, RGB."""
    if folder is not None:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
        for path in paths[:: max(1, len(paths) // count)][:count]:
            with Image.open(path) as picture:
                yield ImageOps.exif_transpose(picture).convert("RGB")
        return
    from skimage import data  # noqa: PLC0415 -- not needed where there is a folder
    from sklearn.datasets import load_sample_images  # noqa: PLC0415

    arrays = [*load_sample_images().images, data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    yield from map(Image.fromarray, arrays[:count])


def bring_to(photograph: Image.Image, size: tuple[int, int], seed: int) -> Image.Image:
    """The photograph's middle at `size`, with a grain where it had to be enlarged."""
    fitted = ImageOps.fit(photograph, size, Image.Resampling.LANCZOS)
    if photograph.width >= size[0] and photograph.height >= size[1]:
        return fitted
    grain = np.random.default_rng(seed).normal(0, GRAIN, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(fitted, np.float32) + grain).clip(0, 255).astype(np.uint8))


def lay_in_square(picture: Pixels) -> Pixels:
    """As sosie pads a picture of which the longest side counts."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    square = np.empty((INPUT.size, INPUT.size, 3), np.uint8)
    square[:] = np.median(border, axis=0).astype(np.uint8)
    y, x = (INPUT.size - picture.shape[0]) // 2, (INPUT.size - picture.shape[1]) // 2
    square[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return square


def scale_to(width: int, height: int, size: int = INPUT.size) -> tuple[int, int]:
    scale = size / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def prepare_by_pillow(data: bytes) -> Pixels:
    """The reference."""
    with Image.open(io.BytesIO(data)) as picture:
        whole = picture.convert("RGB")
    small = whole.resize(scale_to(*whole.size), Image.Resampling.BICUBIC)
    return lay_in_square(np.asarray(small))


def find_rivals() -> Iterator[tuple[str, Sequence[str], Preparer]]:
    """Name, formats and way of each library that is here."""
    for name, package, make in (
        ("simplejpeg", "simplejpeg", _make_simplejpeg),
        ("cv2", "opencv-python-headless", _make_cv2),
        ("vips", "pyvips pyvips-binary", _make_vips),
    ):
        try:
            module = importlib.import_module("pyvips" if name == "vips" else name)
        except ImportError:
            print(f"without {name}: pip install {package}")
        else:
            yield name, ("JPEG", "progressive") if name == "simplejpeg" else tuple(FORMATS), make(module)


def _make_simplejpeg(module: Any) -> Preparer:
    """libjpeg-turbo at the smallest of its scales that leaves 2.5 times the target, then Pillow."""

    def run(data: bytes) -> Pixels:
        height, width, _, _ = module.decode_jpeg_header(data)
        kept = 5 * INPUT.size // 2
        least = scale_to(width, height, kept) if max(width, height) > kept else (0, 0)
        array = module.decode_jpeg(data, min_width=least[0], min_height=least[1])
        small = Image.fromarray(array).resize(scale_to(width, height), Image.Resampling.BICUBIC, reducing_gap=2)
        return lay_in_square(np.asarray(small))

    return run


def _make_cv2(module: Any) -> Preparer:
    """OpenCV at half, a quarter or an eighth, which its JPEG decoder scales to, then the means of areas."""
    module.setNumThreads(1)

    def run(data: bytes) -> Pixels:
        array = np.frombuffer(data, np.uint8)
        with Image.open(io.BytesIO(data)) as header:
            width, height = header.size
        flag = next(
            (
                getattr(module, f"IMREAD_REDUCED_COLOR_{part}")
                for part in (8, 4, 2)
                if max(width, height) >= 2 * INPUT.size * part
            ),
            module.IMREAD_COLOR,
        )
        small = module.resize(module.imdecode(array, flag), scale_to(width, height), interpolation=module.INTER_AREA)
        return lay_in_square(small[..., ::-1])

    return run


def _make_vips(module: Any) -> Preparer:
    """A thumbnail of libvips': it shrinks while it decodes, then by a Lanczos filter."""
    module.cache_set_max(0)

    def run(data: bytes) -> Pixels:
        thumbnail = module.Image.thumbnail_buffer(data, INPUT.size, height=INPUT.size).numpy()
        return lay_in_square(np.asarray(thumbnail)[..., :3])

    return run


def disturb(picture: Pixels, seed: int) -> Pixels:
    """The picture with a tenth of its values one level off."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([-1, 0, 1], picture.shape, p=[0.05, 0.9, 0.05])
    return np.asarray((picture + steps).clip(0, 255), np.uint8)


class MiniEncoder:
    """The image encoder of the bundle `mini`, in this process, on one thread."""

    def __init__(self, repository: Path) -> None:
        graph = repository / "mini_image" / "1" / "model.onnx"
        if not graph.is_file():
            print("building mini", flush=True)
            command = [sys.executable, "-m", "sosie.client", "models", "build", "mini", "--repository", str(repository)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=900)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._parts = [output.name for output in self._session.get_outputs()]

    def encode(self, picture: Pixels) -> dict[str, npt.NDArray[np.float32]]:
        """Unit vectors by part."""
        return {
            name: vectors[0] / np.linalg.norm(vectors[0])
            for name, vectors in zip(self._parts, self._session.run(None, {"image": picture[None]}), strict=True)
        }


def time_in_turns(ways: Sequence[Preparer], data: bytes, rounds: int) -> list[list[float]]:
    """Milliseconds of the processor's, by way and round; who begins changes from round to round."""
    times: list[list[float]] = [[] for _ in ways]
    for number in range(-1, rounds):  # the first warms up
        places = range(len(ways)) if number % 2 else reversed(range(len(ways)))
        for place in places:
            began = time.process_time()
            ways[place](data)
            if number >= 0:
                times[place].append((time.process_time() - began) * 1000)
    return times


def measure(
    size: tuple[int, int],
    kind: str,
    photographs: Sequence[Image.Image],
    ways: Mapping[str, Preparer],
    *,
    encoder: MiniEncoder,
    rounds: int,
) -> None:
    """Prints a line a way."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    cosines: dict[str, dict[str, list[float]]] = {name: {} for name in (*ways, CONTROL)}
    for seed, photograph in enumerate(photographs):
        file = io.BytesIO()
        bring_to(photograph, size, seed).save(file, **FORMATS[kind])
        data = file.getvalue()
        if len(data) > MAX_BYTES:
            print(f"{size[0]:>5} x {size[1]:<5}{kind:<12}left out: {len(data):,} bytes")
            return
        taken = time_in_turns(list(ways.values()), data, rounds)
        reference = prepare_by_pillow(data)
        wanted = encoder.encode(reference)
        for name, milliseconds in zip(ways, taken, strict=True):
            times[name].append(statistics.median(milliseconds))
            ratios[name] += [own / base for own, base in zip(milliseconds, taken[0], strict=True)]
        for name, parts in cosines.items():
            prepared = ways[name](data) if name in ways else disturb(reference, seed)
            for part, vector in encoder.encode(prepared).items():
                parts.setdefault(part, []).append(float(vector @ wanted[part]))
    for name, parts in cosines.items():
        cost = f"{statistics.mean(times[name]):8.1f} ms{statistics.median(ratios[name]):7.2f}" if name in ways else ""
        found = ", ".join(f"{part} {statistics.mean(of):.5f} / {min(of):.5f}" for part, of in parts.items())
        print(f"{size[0]:>5} x {size[1]:<5}{kind:<12}{name:<15}{cost:18}   {found}", flush=True)


def main() -> None:
    """A table of sizes, formats and ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, metavar="DIR")
    parser.add_argument("--repository", type=Path, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--photographs", type=int, default=6, metavar="N")
    arguments = parser.parse_args()
    ways: dict[str, Preparer] = {"Pillow, whole": prepare_by_pillow, "sosie": lambda data: prepare(data, INPUT)}
    taken: dict[str, Sequence[str]] = {name: tuple(FORMATS) for name in ways}
    for name, formats, way in find_rivals():
        ways[name], taken[name] = way, formats
    photographs = list(read_photographs(arguments.images, arguments.photographs))
    with tempfile.TemporaryDirectory() as folder:
        encoder = MiniEncoder(arguments.repository or Path(folder) / "models")
        print(f"Pillow {PIL.__version__}, {len(photographs)} photographs, {arguments.rounds} rounds, one thread")
        print("size          format      way             CPU time  ratio   cosine to the reference, mean / least")
        for size in SIZES:
            for kind in FORMATS:
                here = {name: way for name, way in ways.items() if kind in taken[name]}
                measure(size, kind, photographs, here, encoder=encoder, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
