"""The models that the bundle clip is named for, in their full size, with random weights."""

from dataclasses import replace

import pytest

from sosie.engine.inference import ImageInput
from sosie.training.clip.bundle import Towers, assemble, export_towers
from sosie.training.clip.integers import is_convolutional
from sosie.training.clip.loading import load
from sosie.training.clip.sources import Wanted, find_origin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def export(name: str, **text: int) -> Towers:
    """Exports a model of open_clip's list and compares it with torch; `text` changes its text tower."""
    origin = find_origin(Wanted(name, random=True), print)
    changed = {**origin.config, "text_cfg": {**origin.config["text_cfg"], **text}}
    return export_towers(load(replace(origin, config=changed)), half=False, tell=print)


def test_vit_b_32() -> None:
    """ViT-B-32 is exported whole: 224 pixels, 512 numbers, graphs that compute what torch does."""
    towers = export("ViT-B-32")

    assert towers.loaded.image_input == ImageInput(224, "shortest")
    assert {part.name: part.size for part in assemble(towers, prefix="clip").space.parts} == {
        "look": 512,
        "colour": 131,
        "words": 512,
    }
    assert not is_convolutional(towers.image.graph)


def test_mobileclip() -> None:
    """MobileCLIP-S1 is exported with pictures of 256 pixels, neither shifted nor scaled; it is a convolutional network.

    Its text tower differs from ViT-B-32's in attention alone: two layers of it are enough here.
    """
    towers = export("MobileCLIP-S1", layers=2)

    assert towers.loaded.image_input == ImageInput(256, "shortest")
    assert (towers.loaded.mean, towers.loaded.std) == ((0, 0, 0), (1, 1, 1))
    assert is_convolutional(towers.image.graph)
