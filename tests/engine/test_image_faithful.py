"""How near a prepared photograph stays to the reference: decoded whole, resized once by Pillow's bicubic filter."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from PIL import Image, ImageFilter, ImageOps
from skimage import data
from sklearn.datasets import load_sample_images

from engine.pictures import encode
from engine.test_image_kinds import prepare_by_pillow
from sosie.engine.image import WHOLE, prepare
from sosie.engine.inference import ImageInput

SIZES = ((300, 400), (1000, 1000), (2000, 2000), (2400, 1800))
RESIZES: Any = ("shortest", "longest", "squash")
FAST: Mapping[str, Mapping[str, int]] = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}}
MEAN_COSINE = 0.9995
LEAST_COSINE = 0.998
"""Of a single photograph. An encoder's own answer to a tenth of the values one level off is 0.995 to 0.9998."""


def take_photographs() -> list[Image.Image]:
    return list(map(Image.fromarray, [*load_sample_images().images, data.astronaut(), data.coffee(), data.chelsea()]))


def draw_cloth() -> Image.Image:
    """A picture of fine cloth on a plain page, which shows any aliasing."""
    y, x = np.mgrid[:1600, :1600]
    weave = 128 + 60 * np.sin(x * 2.1 + y * 0.3) * np.sin(y * 1.7) + 40 * np.sin((x + y) / 90)
    weave[(np.hypot(x - 800, y - 800) > 620)] = 244
    return Image.fromarray(np.repeat(weave.clip(0, 255).astype(np.uint8)[:, :, None], 3, 2))


def look_for_padding(image_input: ImageInput, size: tuple[int, int]) -> tuple[slice, slice]:
    """Where a picture of `size` lies in its square."""
    if image_input.resize != "longest":
        return slice(None), slice(None)
    width, height = (round(side * image_input.size / max(size)) for side in size)
    top, left = (image_input.size - height) // 2, (image_input.size - width) // 2
    return slice(top, top + height), slice(left, left + width)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pixels(kind: str, resize: Any) -> None:
    """Photographs differ from the reference by less than rounding does, fine cloth by little more."""
    image_input = ImageInput(224, resize)
    for picture, at_most in ((take_photographs()[0].resize((2000, 1400)), 0.5), (draw_cloth(), 1.0)):
        sharp = picture.filter(ImageFilter.UnsharpMask(2))
        file = encode(sharp, kind, **FAST.get(kind, {}))
        stored = _decode(file)
        wanted = prepare_by_pillow(stored, image_input, WHOLE).astype(int)
        found = prepare(file, image_input)[look_for_padding(image_input, stored.size)]
        assert np.abs(found - wanted).mean() < at_most


def _decode(file: bytes) -> Image.Image:
    with Image.open(io.BytesIO(file)) as opened:
        return opened.convert("RGB")


Encode = Callable[[npt.NDArray[np.uint8]], dict[str, npt.NDArray[np.float32]]]


@pytest.fixture(scope="module")
def encode_mini(mini_repository: Path) -> Encode:
    """The parts, of unit length, that the bundle mini makes of a picture."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = mini_repository / "mini_image" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(picture: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        vectors = session.run(None, {"image": picture[None]})
        return {name: found[0] / np.linalg.norm(found[0]) for name, found in zip(names, vectors, strict=True)}

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "resize", "sizes"),
    [
        *(("JPEG", resize, SIZES) for resize in RESIZES),
        ("PNG", "longest", SIZES[::2]),
        ("WEBP", "longest", SIZES[::2]),
    ],
)
def test_embeddings(encode_mini: Encode, kind: str, resize: Any, sizes: Sequence[tuple[int, int]]) -> None:
    """The parts that a picture searches by, look and colour, keep a mean cosine of 0.9995 to the reference's."""
    image_input, options = ImageInput(224, resize), FAST.get(kind, {})
    for size in sizes:
        cosines: dict[str, list[float]] = {"look": [], "colour": []}
        for photograph in take_photographs():
            file = encode(ImageOps.fit(photograph, size, Image.Resampling.LANCZOS), kind, **options)
            found = prepare(file, image_input)
            stored = _decode(file)
            reference = found.copy()  # of the same padding
            reference[look_for_padding(image_input, stored.size)] = prepare_by_pillow(stored, image_input, WHOLE)
            own, wanted = encode_mini(found), encode_mini(reference)
            for part, of in cosines.items():
                of.append(float(own[part] @ wanted[part]))
        for part, of in cosines.items():
            assert np.mean(of) >= MEAN_COSINE, (size, part)
            assert min(of) >= LEAST_COSINE, (size, part)
