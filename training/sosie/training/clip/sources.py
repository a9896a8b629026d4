"""Where a model's configuration, weights and tokenizer come from: open_clip's list, the hub, a file or a folder.

What comes from the hub ends up in files, so that from here on all sources are alike.
"""

import sosie.training.torchvision_on_cpu  # noqa: F401  # open_clip imports torchvision

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from open_clip.pretrained import get_pretrained_cfg

from sosie.training.errors import WeightsError
from sosie.training.hub import fetch_file

CONFIG = "open_clip_config.json"
HUB_PREFIX = "hf-hub:"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
"""The names that open_clip gives to its weights, the first that is there counts."""
OTHER_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pth")
"""Names that are taken in a folder, too; in the hub's repositories they are another library's."""
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_TEXT_CONFIG = "config.json"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What the user asked for: `model` by open_clip's name or hf-hub:, or a `folder`, or both.

    `pretrained` is a tag of open_clip's; beside `weights` it says alone how that file's model wants its pictures.
    """

    model: str | None = None
    folder: Path | None = None
    pretrained: str | None = None
    weights: Path | None = None
    random: bool = False


@dataclass(frozen=True)
class Origin:
    """Everything at hand: open_clip's configuration of the model and of its pictures, and files.

    Without `weights` they are random. `text_files` is the folder with the configuration and the tokenizer of a text
    tower of Hugging Face's, None where open_clip brings its own.
    """

    title: str
    config: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    weights: Path | None
    text_files: Path | None


def find_origin(wanted: Wanted, tell: Tell) -> Origin:
    """Finds or fetches all that is needed. Raises WeightsError."""
    title = str(wanted.folder or wanted.model)
    described = _read_folder(wanted) or _read_hub(wanted, tell)
    if described is None:
        config, preprocess = _read_list(wanted)
    else:
        config, preprocess = described
        if wanted.pretrained:
            raise WeightsError(
                f"{title} brings its own configuration: --pretrained is for the models of open_clip's list"
            )
    weights = None if wanted.random else _find_weights(wanted, tell)
    text = config["text_cfg"]
    needs_text = bool(text.get("hf_tokenizer_name") or text.get("hf_model_name"))
    text_files = _find_text_files(wanted, text, tell) if needs_text else None
    return Origin(title, config, preprocess, weights, text_files)


def _read_folder(wanted: Wanted) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What the folder says, None where it leaves the configuration to --model."""
    if wanted.folder is None:
        return None
    if not wanted.folder.is_dir():
        raise WeightsError(
            f"{wanted.folder} is no folder; --model-folder takes one with {CONFIG}, weights and tokenizer"
        )
    path = wanted.folder / CONFIG
    if wanted.model and not path.is_file():
        return None
    return _read_config(path)


def _read_hub(wanted: Wanted, tell: Tell) -> tuple[dict[str, Any], dict[str, Any]] | None:
    if not (wanted.model or "").startswith(HUB_PREFIX) or wanted.folder:
        return None
    repository = _repository(wanted)
    tell(f"asking the hub for {repository}")
    return _read_config(fetch_file(repository, CONFIG, instead=_folder_hint(repository)))


def _repository(wanted: Wanted) -> str:
    return (wanted.model or "").removeprefix(HUB_PREFIX)


def _folder_hint(repository: str) -> str:
    return f"fetch the files of {repository} where the hub can be reached and give their folder with --model-folder DIR"


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        config, preprocess = dict(read["model_cfg"]), dict(read.get("preprocess_cfg", {}))
        dict(config["text_cfg"]), dict(config["vision_cfg"]), int(config["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} is no configuration of open_clip's ({error!r}): it needs model_cfg with embed_dim, vision_cfg and "
            "text_cfg"
        ) from error
    return config, preprocess


def _read_list(wanted: Wanted) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Of a model of open_clip's list, with what its weights were trained with."""
    name = wanted.model or ""
    config: dict[str, Any] | None = open_clip.get_model_config(name) if not name.startswith("local-dir:") else None
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=5, cutoff=0.4)
        known = f"did you mean {', '.join(close)}" if close else "`open_clip.list_models()` has their names"
        raise WeightsError(f"open_clip {open_clip.__version__} knows no model {name!r}: {known}?")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if wanted.pretrained:
        tag = get_pretrained_cfg(name, wanted.pretrained)
        if not tag:
            known = ", ".join(tags) or "there are none"
            raise WeightsError(f"{name} has no weights {wanted.pretrained!r}; its tags: {known}")
        if tag.get("quick_gelu"):  # trained with an activation that the model's name does not tell
            config["quick_gelu"] = True
        return config, tag
    if not (wanted.random or wanted.weights or wanted.folder):
        raise WeightsError(
            f"{name} needs weights: give --pretrained TAG, --weights FILE or --random; its tags: {', '.join(tags)}"
        )
    return config, _agree(name, tags, random=wanted.random)


def _agree(name: str, tags: list[str], *, random: bool) -> Mapping[str, Any]:
    """How all weights of a model want their pictures; a file alone does not say it."""
    keys = ("mean", "std", "interpolation", "resize_mode")
    known = [{key: get_pretrained_cfg(name, tag).get(key) for key in keys} for tag in tags]
    if any(other != known[0] for other in known) and not random:
        raise WeightsError(
            f"the weights of {name} differ in how they want their pictures: say which the file holds with --pretrained "
            f"TAG beside --weights, one of {', '.join(tags)}"
        )
    return known[0] if known else {}


def _find_weights(wanted: Wanted, tell: Tell) -> Path:
    if wanted.weights:
        return wanted.weights
    if wanted.folder:
        for name in (*WEIGHTS, *OTHER_WEIGHTS):
            if (path := wanted.folder / name).is_file():
                return path
        if not wanted.pretrained:
            raise WeightsError(
                f"{wanted.folder} holds no {WEIGHTS[0]}; give the weights with --weights FILE, or --random"
            )
    name = wanted.model or ""
    if name.startswith(HUB_PREFIX):
        repository, wished = _repository(wanted), ""
    else:
        repository, _, wished = get_pretrained_cfg(name, wanted.pretrained)["hf_hub"].rpartition("/")
    names = (str(Path(wished).with_suffix(".safetensors")), wished) if wished else WEIGHTS
    tell(f"fetching the weights of {repository}")
    instead = f"fetch {names[0]} of {repository} on a machine that reaches the hub and give it with --weights FILE"
    if wanted.pretrained:
        instead += f" --pretrained {wanted.pretrained}"
    return fetch_file(repository, *dict.fromkeys(names), instead=instead)


def _find_text_files(wanted: Wanted, text: Mapping[str, Any], tell: Tell) -> Path:
    """The folder with tokenizer.json and, where the tower is Hugging Face's, its config.json."""
    tower = text.get("hf_model_name")
    tokenizer = str(text.get("hf_tokenizer_name") or tower)
    names = [*_TOKENIZER, *([_TEXT_CONFIG] if tower else [])]
    if wanted.folder:
        missing = [name for name in names if not (wanted.folder / name).is_file()]
        if missing:
            raise WeightsError(
                f"{wanted.folder} lacks {', '.join(missing)}: copy them there from {tokenizer} on the hub"
            )
        return wanted.folder
    if wanted.model and wanted.model.startswith(HUB_PREFIX) and not tower:
        tokenizer = _repository(wanted)
    tell(f"asking the hub for {', '.join(names)} of {tokenizer}")
    instead = "fetch them where the hub can be reached, and give their folder with --model-folder DIR beside --model"
    return [fetch_file(tokenizer, name, instead=instead) for name in names][-1].parent
