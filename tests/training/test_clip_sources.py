"""Where the bundle clip takes its models from, and what it says of those that it cannot take."""

import argparse
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import safetensors.torch
import torch

from sosie.training import command
from sosie.training.clip.loading import load
from sosie.training.clip.sources import Wanted, find_origin
from sosie.training.errors import WeightsError
from tiny_clip import DIM, write_clip, write_multilingual, write_siglip

UNREACHABLE = "http://127.0.0.1:9"  # the port `discard`: nothing listens


def silent(_message: str) -> None:
    """Hears what is told."""


def load_folder(folder: Path, **further: Any) -> Any:
    return load(find_origin(Wanted(folder=folder, **further), silent))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with weights of its own."""
    made = write_clip(tmp_path_factory.mktemp("clip"))
    network = load_folder(made, random=True).network
    safetensors.torch.save_file(network.state_dict(), made / "open_clip_model.safetensors")
    return made


def test_weights_of_a_folder(folder: Path) -> None:
    """A folder's own weights are read, and random ones are the same each time."""
    first, second, read = (load_folder(folder, random=random).network for random in (True, True, False))

    for network in (second, read):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, first.state_dict()[name])
    assert not read.training


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_a_file(folder: Path, tmp_path: Path, wrapped: bool) -> None:
    """A checkpoint of a training run (state_dict of a distributed model) is read like a bare one."""
    state = load_folder(folder).network.state_dict()
    state["positional_embedding"] = torch.zeros_like(state["positional_embedding"])
    stored = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    torch.save(stored if wrapped else state, tmp_path / "epoch_3.pt")

    loaded = load_folder(folder, weights=tmp_path / "epoch_3.pt")

    assert not loaded.network.positional_embedding.any()


def test_pictures_as_the_folder_says(folder: Path) -> None:
    """Mean, standard deviation, size and resizing are the configuration's."""
    loaded = load_folder(folder)

    assert (loaded.mean, loaded.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (loaded.image_input.size, loaded.image_input.resize) == (64, "squash")


def test_pictures_as_the_list_says() -> None:
    """Random weights want pictures as the model's published ones do: MobileCLIP's are not CLIP's."""
    mobile, clip = (find_origin(Wanted(name, random=True), silent) for name in ("MobileCLIP-S1", "ViT-B-32"))

    assert mobile.preprocess["mean"] == (0, 0, 0)
    assert clip.preprocess["mean"] != (0, 0, 0)


def test_a_tags_activation() -> None:
    """Weights that were trained with another activation than the model's name tells get theirs."""
    origins = [
        find_origin(Wanted("ViT-B-32", pretrained=tag, weights=Path("x.pt")), silent)
        for tag in ("openai", "laion2b_e16")
    ]

    assert [bool(origin.config.get("quick_gelu")) for origin in origins] == [True, False]


def refuse(wanted: Wanted) -> str:
    """What is said of it."""
    with pytest.raises(WeightsError) as caught:
        load(find_origin(wanted, silent))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_unknown_names() -> None:
    """Unknown models and tags are refused with those that are meant perhaps."""
    assert "ViT-B-32" in refuse(Wanted("ViT-B32", random=True))
    assert "laion2b_s34b_b79k" in refuse(Wanted("ViT-B-32", pretrained="laion"))
    assert "--pretrained TAG, --weights FILE or --random" in refuse(Wanted("ViT-B-32"))
    assert "differ in how they want their pictures" in refuse(Wanted("ViT-L-14", weights=Path("x.pt")))


def test_weights_of_another_architecture(folder: Path, tmp_path: Path) -> None:
    """Weights of another size, with stretched positions, or of something else are refused by what differs first."""
    state = load_folder(folder).network.state_dict()
    for name, changed in (
        ("wider", {**state, "text_projection": torch.zeros(DIM, 2 * DIM)}),
        ("longer", {**state, "visual.positional_embedding": torch.zeros(50, 64)}),
        ("poorer", {name: tensor for name, tensor in state.items() if name != "ln_final.bias"}),
        ("richer", {**state, "text_decoder.weight": torch.zeros(1)}),
        ("other", {"conv1.weight": torch.zeros(3)}),
    ):
        safetensors.torch.save_file(changed, tmp_path / f"{name}.safetensors")
    said = {path.stem: refuse(Wanted(folder=folder, weights=path)) for path in sorted(tmp_path.glob("*.safetensors"))}

    assert "its text_projection is [32, 64], not [32, 32]" in said["wider"]
    assert "its visual.positional_embedding is [50, 64], not [17, 64]" in said["longer"]
    assert "it lacks ln_final.bias" in said["poorer"]
    assert "it also holds text_decoder.weight" in said["richer"]
    assert "holds no weights of" in said["other"]


def test_files_that_are_no_checkpoints(folder: Path, tmp_path: Path) -> None:
    """A missing, a damaged and a hostile file are refused in one line; nothing of the hostile one runs."""
    mark = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(mark),)

    torch.save({"weight": Hostile()}, tmp_path / "hostile.pt")
    (tmp_path / "damaged.pt").write_bytes(b"no checkpoint")
    (tmp_path / "damaged.safetensors").write_bytes(b"no checkpoint")

    for name in ("hostile.pt", "damaged.pt", "damaged.safetensors", "missing.pt"):
        assert name in refuse(Wanted(folder=folder, weights=tmp_path / name))
    assert not mark.exists()


def test_folders_that_lack_something(tmp_path: Path) -> None:
    """What a folder lacks, or has wrong, is said by the file's name."""
    assert "is no folder" in refuse(Wanted(folder=tmp_path / "none"))
    assert "open_clip_config.json" in refuse(Wanted(folder=tmp_path))
    assert "open_clip_model.safetensors" in refuse(Wanted(folder=write_clip(tmp_path / "clip")))
    multilingual = write_multilingual(tmp_path / "multilingual")
    (multilingual / "tokenizer.json").unlink()
    assert "lacks tokenizer.json" in refuse(Wanted(folder=multilingual, random=True))
    config = multilingual / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": {"embed_dim": 32}}))
    assert "vision_cfg" in refuse(Wanted(folder=multilingual, random=True))
    wrong = write_clip(tmp_path / "wrong", heads=3)
    assert "open_clip makes no model" in refuse(Wanted(folder=wrong, random=True))


def test_text_files_beside_a_name(tmp_path: Path) -> None:
    """A model of open_clip's list takes the files of its text tower from a folder without a configuration."""
    folder = write_multilingual(tmp_path)
    (folder / "open_clip_config.json").unlink()

    origin = find_origin(Wanted("xlm-roberta-base-ViT-B-32", folder=folder, random=True), silent)

    assert origin.text_files == folder
    assert origin.config["vision_cfg"]["patch_size"] == 32


def test_rectangles_are_refused(tmp_path: Path) -> None:
    """A model that wants pictures that are not square is refused."""
    folder = write_clip(tmp_path)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["image_size"] = [64, 32]
    (folder / "open_clip_config.json").write_text(json.dumps(config))

    assert "only square ones" in refuse(Wanted(folder=folder, random=True))


class SmallHub(BaseHTTPRequestHandler):
    """What the hub's client needs of a hub: files with a digest and a revision, under /OWNER/NAME/resolve/main/FILE."""

    root: Path
    asked: ClassVar[list[str]]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        """Sends the headers, and gives what follows them."""
        repository, _, name = self.path.strip("/").partition("/resolve/main/")
        path = self.root / repository / name
        data = path.read_bytes() if name and path.is_file() else b""
        self.asked.append(name)
        self.send_response(200 if data or not name else 404)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        if not data:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        return data

    def log_message(self, format: str, *arguments: object) -> None:
        """Keeps quiet."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SmallHub]]:
    """A hub of the test's own, that the client is sent to; its repositories are folders in tmp_path/hub."""
    handler = type("Hub", (SmallHub,), {"root": tmp_path / "hub", "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
        yield handler
        server.shutdown()
        thread.join(10)


@pytest.mark.slow
def test_a_model_of_the_hub(hub: type[SmallHub]) -> None:
    """Configuration, weights and tokenizer are fetched from the hub's repository, weights in the form that it has."""
    made = write_siglip(hub.root / "someone" / "small")
    torch.save(load_folder(made, random=True).network.state_dict(), made / "open_clip_pytorch_model.bin")

    origin = find_origin(Wanted("hf-hub:someone/small"), silent)

    assert origin.weights is not None
    assert origin.weights.read_bytes() == (made / "open_clip_pytorch_model.bin").read_bytes()
    assert load(origin).tokenizer(["bag"]).shape == (1, 16)
    assert "model.safetensors" not in hub.asked  # there it would be another library's


def run_command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(["build", "clip", *arguments]))


def test_errors_are_one_line(tmp_path: Path) -> None:
    """What the user can put right ends the command in one line."""
    with pytest.raises(SystemExit, match=r"^sosie models build: .*ViT-B-32.*\?$"):
        run_command("--model", "ViT-B32", "--random", "--repository", str(tmp_path / "models"))
    with pytest.raises(SystemExit):
        run_command("--name", "../clip")

    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arguments", "file", "option"),
    [
        (("--pretrained", "laion2b_s34b_b79k"), "open_clip_model.safetensors", "--weights FILE --pretrained laion2b"),
        (("--model", "xlm-roberta-base-ViT-B-32", "--random"), "tokenizer.json", "--model-folder DIR"),
    ],
)
def test_a_hub_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], file: str, option: str
) -> None:
    """Without the hub one line says which file of what could not be had, and which option takes it."""
    monkeypatch.setenv("HF_ENDPOINT", UNREACHABLE)
    monkeypatch.setenv("HF_HOME", str(tmp_path))

    with pytest.raises(SystemExit) as caught:
        run_command(*arguments, "--repository", str(tmp_path / "models"))

    said = str(caught.value)
    assert said.startswith("sosie models build: cannot fetch ")
    assert all(part in said for part in (file, UNREACHABLE, "it does not answer", option))
    assert "\n" not in said
