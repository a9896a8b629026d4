"""Folders with tiny models of open_clip's, as `--model-folder` takes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

VISION = {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
SIZE = 64
DIM = 32
LINES = (
    "a red leather handbag with a golden buckle",
    "striped sweater in black and white, wool",
    "running shoes, size 42, blue and orange",
    "красная кожаная сумка с золотой пряжкой",
    "полосатый свитер чёрный и белый, шерсть",
    "кроссовки, размер 42, синие и оранжевые",
)


def write_clip(folder: Path, **text: Any) -> Path:
    """A CLIP with open_clip's own tokenizer; `text` changes its text tower."""
    own = {"context_length": 77, "vocab_size": 49408, "width": DIM, "heads": 2, "layers": 2}
    return _write_config(folder, {**own, **text})


def write_multilingual(folder: Path) -> Path:
    """A CLIP whose text tower is an XLM-RoBERTa, with a tokenizer of its kind: padding has the id 1."""
    text = {"hf_model_name": "xlm-roberta-base", "hf_tokenizer_name": "xlm-roberta-base", "hf_proj_type": "mlp"}
    _write_config(folder, {**text, "hf_pooler_type": "mean_pooler"})
    specials = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    size = _write_tokenizer(folder, specials, single="<s> $A </s>")
    config = {
        "model_type": "xlm-roberta",
        "vocab_size": size,
        "hidden_size": DIM,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 80,
        "type_vocab_size": 1,
        "pad_token_id": 1,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_siglip(folder: Path) -> Path:
    """A SigLIP2: sentences in lower case without signs, one end token, attention to both sides, the last place read."""
    text = {
        "context_length": 16,
        "width": DIM,
        "heads": 2,
        "layers": 2,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
    }
    folder.mkdir(parents=True, exist_ok=True)
    specials = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    size = _write_tokenizer(folder, specials, single="$A <eos>")
    return _write_config(folder, {**text, "vocab_size": size}, custom_text=True, init_logit_bias=-10)


def _write_config(folder: Path, text: Mapping[str, Any], **further: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model = {"embed_dim": DIM, "vision_cfg": VISION, "text_cfg": dict(text), **further}
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def _write_tokenizer(folder: Path, specials: Mapping[str, str], *, single: str) -> int:
    """Trains a unigram tokenizer on LINES; the special tokens get the first ids. Gives the size of its vocabulary."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    names = list(specials.values())
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        special_tokens=names,
        unk_token="<unk>",  # noqa: S106  # not a password
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **specials}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    return int(tokenizer.get_vocab_size())
