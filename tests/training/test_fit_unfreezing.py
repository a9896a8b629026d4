"""Unfreezing the last layers of a clip model's towers: what learns, what stays, when the result is used."""

import sosie.training.torchvision_on_cpu  # noqa: F401  # before open_clip

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import json_format
from PIL import Image

from sosie.engine.inference import Pictures
from sosie.training import command
from sosie.training.clip import loading
from sosie.training.clip.sources import Wanted, find_origin
from sosie.training.errors import FitError
from sosie.training.fitting.unfreezing import Recipe, Shown, choose_device, unfreeze, unlock
from sosie.training.goods import Goods
from sosie.training.space_encoders import find_encoders
from sosie.v1 import product_pb2
from tiny_clip import SIZE, write_clip

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "yellow": (230, 220, 40)}
THINGS = ("hat", "boot", "scarf", "dress")
CPU = torch.device("cpu")


def silent(_message: str) -> None:
    """Nobody listens."""


@pytest.fixture
def loaded(tmp_path: Path) -> loading.Loaded:
    """A tiny CLIP with random weights."""
    return loading.load(find_origin(Wanted(folder=write_clip(tmp_path / "model"), random=True), silent))


def draw_picture(rng: np.random.Generator, number: int, colour: tuple[int, int, int]) -> Pictures:
    """A band of a colour: its place says what thing it is."""
    picture = rng.integers(215, 256, (SIZE, SIZE, 3))
    picture[16 * number : 16 * number + 14] = rng.normal(colour, 8, (14, SIZE, 3)).clip(0, 255)
    return picture.astype(np.uint8)


def draw_goods() -> Iterator[tuple[Goods, tuple[Pictures, Pictures]]]:
    """Things in colours, six of each, two pictures each; a title names thing, colour and a number."""
    rng = np.random.default_rng(5)
    for number, thing in enumerate(THINGS):
        for colour, values in COLOURS.items():
            for copy in range(6):
                key = f"{colour}-{thing}-{copy}"
                goods = Goods(f"{colour} {thing} no {copy}", category_path=(thing,), product_id=key)
                yield goods, (draw_picture(rng, number, values), draw_picture(rng, number, values))


def draw_shop(loaded: loading.Loaded) -> Shown:
    """The drawn goods as the towers take them."""
    goods, pictures = zip(*draw_goods(), strict=True)
    tokens = np.array([loaded.tokenizer(list(product.sentences())).numpy() for product in goods], np.int64)
    return Shown(goods, np.concatenate(pictures), np.repeat(np.arange(len(goods)), 2), tokens)


def test_last_groups_learn(loaded: loading.Loaded) -> None:
    """One group is the projections, two are the last blocks too; the scale always learns, the first layers never."""
    network = loaded.network
    learned = {id(parameter) for parameter in unlock(network, 1)}
    assert learned == {id(network.visual.proj), id(network.text_projection), id(network.logit_scale)}
    learned = {id(parameter) for parameter in unlock(network, 2)}
    assert id(network.visual.transformer.resblocks[-1].ln_1.weight) in learned
    assert id(network.transformer.resblocks[-1].ln_1.weight) in learned
    assert id(network.visual.conv1.weight) not in learned
    assert id(network.token_embedding.weight) not in learned


@pytest.mark.slow
def test_what_is_frozen_stays(loaded: loading.Loaded) -> None:
    """Teaching changes the unfrozen layers, finds held-out pictures better, and leaves all else bit by bit."""
    before = {name: tensor.clone() for name, tensor in loaded.network.state_dict().items()}
    outcome = unfreeze(loaded, draw_shop(loaded), Recipe(3, CPU, 0, 40, 32, 2e-3), silent)
    after = loaded.network.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert "visual.proj" in changed
    assert "visual.conv1.weight" not in changed
    assert "token_embedding.weight" not in changed
    assert outcome.gained
    rank = "title_reciprocal_rank"
    assert outcome.figures[rank] > outcome.figures[f"{rank}_before"] + 0.1


@pytest.mark.slow
def test_nothing_gained(loaded: loading.Loaded) -> None:
    """Without a step that teaches anything the old space stays, and the weights are those of the start."""
    before = {name: tensor.clone() for name, tensor in loaded.network.state_dict().items()}
    outcome = unfreeze(loaded, draw_shop(loaded), Recipe(1, CPU, 0, 1, 64, 1e-12), silent)
    assert not outcome.gained
    assert outcome.verdict == "nothing was gained for sentences on the held-out products"
    assert all(torch.allclose(tensor, loaded.network.state_dict()[name]) for name, tensor in before.items())


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch sees no GPU, the processor has to be asked for by name."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FitError, match="--device cpu"):
        choose_device(None)
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("wrong", [["--bundle", "mini"], ["--bundle", "clip", "--loss", "triplet"]])
def test_wrong_combinations(wrong: list[str], tmp_path: Path) -> None:
    """Unfreezing is for clip and for sentences; anything else is refused in one line."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    line = ["fit", "--catalog", "none.jsonl", "--images", str(tmp_path), "--unfreeze", "1", *wrong]
    with pytest.raises(SystemExit, match="--unfreeze teaches the towers of --bundle clip"):
        command.run(parser.parse_args(line))


@pytest.mark.slow
def test_command(loaded: loading.Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sosie models fit --unfreeze` reads weights, a catalog and pictures, and writes encoders of a new space."""
    torch.save(loaded.network.state_dict(), tmp_path / "model" / "open_clip_pytorch_model.bin")
    (tmp_path / "images").mkdir()
    lines = []
    for goods, pictures in draw_goods():
        names = [f"{goods.product_id}-{view}.png" for view in range(len(pictures))]
        for name, picture in zip(names, pictures, strict=True):
            Image.fromarray(picture).save(tmp_path / "images" / name)
        product = product_pb2.Product(
            shop="drawn",
            product_id=goods.product_id,
            title=goods.title,
            category_path=goods.category_path,
            pictures=[product_pb2.Picture(id=name, path=name) for name in names],
        )
        lines.append(json_format.MessageToJson(product, indent=None))
    (tmp_path / "catalog.jsonl").write_text("\n".join(lines))

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    line = (
        f"fit --catalog {tmp_path}/catalog.jsonl --images {tmp_path}/images --repository {tmp_path}/models "
        f"--bundle clip --unfreeze 3 --device cpu --model-folder {tmp_path}/model --learning-rate 2e-3 --epochs 40 "
        "--batch 32 --name taught"
    )
    assert command.run(parser.parse_args(line.split())) == 0

    assert "titles find pictures better" in capsys.readouterr().out
    encoders = find_encoders(tmp_path / "models", "taught_image")
    assert encoders.text == "taught_text"
    assert encoders.space.figures["products_judged_by"] == 14
