"""The networks in torch, as their authors define them: what the graphs are compared with.

Needs the dependency group `reference`, and is used by tests and by the script that makes the figures of
`verification`; building a bundle needs neither.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from transformers import BertConfig, BertModel

from sosie.engine.inference import Pictures
from sosie.training import colour, imagenet, mini, verification, whitening
from sosie.training.checkpoints import Arrays
from sosie.training.efficientnet import SIZE
from sosie.training.heads import NAMED, Floats
from sosie.training.sentences import open_tokenizer

# Linear sRGB to XYZ (IEC 61966-2-1), and the white of D65.
_SRGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_D65 = np.array([0.950456, 1.0, 1.088754])


def picture_features(weights: Arrays, pictures: Pictures) -> tuple[Floats, Floats]:
    """Features [n, 1280] and logits [n, 1000] of pictures [n, 224, 224, 3]."""
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    with torch.inference_mode():
        values = (torch.tensor(pictures).permute(0, 3, 1, 2).float() - 127) / 128
        features = network.extract_features(values).mean((2, 3))
        return features.numpy(), network._fc(features).numpy()  # noqa: SLF001  # its authors give it no other name


def sentence_vectors(weights: Arrays, tokenizer: bytes, sentences: Sequence[str]) -> Floats:
    """Unit vectors [n, 384] of sentences, each encoded on its own: mean of the tokens, then unit length."""
    config = BertConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_attention_heads=12,
        num_hidden_layers=6,
        attn_implementation="eager",
    )
    network = BertModel(config).eval()
    network.load_state_dict({name: torch.tensor(np.array(array)) for name, array in weights.items()}, strict=False)
    vectors = []
    with torch.inference_mode():
        for encoding in open_tokenizer(tokenizer).encode_batch(list(sentences)):
            states = network(input_ids=torch.tensor([encoding.ids])).last_hidden_state
            vectors.append(torch.nn.functional.normalize(states.mean(1), dim=1)[0].numpy())
    return np.stack(vectors)


def picture_colour(picture: Pictures) -> Floats:
    """The colour part [SIZE] of one picture [224, 224, 3], step by step in float64."""
    width = colour.SCALE
    blocks = picture.astype(np.float64).reshape(SIZE // width, width, SIZE // width, width, 3).mean((1, 3)) / 255
    linear = np.where(blocks > 0.04045, ((blocks + 0.055) / 1.055) ** 2.4, blocks / 12.92)  # noqa: PLR2004  # the formula
    xyz = linear @ _SRGB_TO_XYZ.T / _D65
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)  # noqa: PLR2004  # the formula
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    thing = np.linalg.norm(lab - np.median(border, axis=0), axis=-1) > colour.FOREGROUND
    side = len(lab)
    row, column = np.mgrid[:side, :side]
    weight = np.exp(-((row - side / 2) ** 2 + (column - side / 2) ** 2) / (side * colour.MIDDLE) ** 2)
    if thing.mean() > colour.LEAST_SHARE:
        weight = weight * thing
    squares = ((lab[:, :, None] - colour.CENTRES) ** 2 * [colour.LIGHTNESS, 1, 1]).sum(-1)
    near = np.exp(-squares / (2 * colour.SIGMA**2))
    counts = (near / near.sum(-1, keepdims=True) * weight[:, :, None]).sum((0, 1))
    return unit(np.sqrt(counts)).astype(np.float32)


def named_meaning(logits: Floats, names: Floats) -> Floats:
    """The meaning [384] of one picture by its classes: logits [1000], names [1000, 384]."""
    likely = np.argsort(-logits)[:NAMED]
    return unit(np.exp(logits[likely] - logits.max()) @ names[likely])


def unit(vector: Floats) -> Floats:
    """A vector scaled to length 1."""
    scaled: Floats = vector / np.linalg.norm(vector)
    return scaled


def make_figures() -> dict[str, dict[str, dict[str, float]]]:
    """What `verification` compares with: by role and output, the largest numbers by their places."""
    sources = mini.read_sources(None, print)
    picture = verification.draw_picture()
    features, logits = picture_features(sources.image, picture)
    (sentence,) = sentence_vectors(sources.text, sources.tokenizer, [verification.SENTENCE])
    names = sentence_vectors(sources.text, sources.tokenizer, imagenet.read_classes())
    whitened = whitening.from_weights(sources.image)
    outputs = {
        "image_encoder": {
            "look": unit((features[0] - whitened.mean) @ whitened.matrix),
            "colour": picture_colour(picture[0]),
            "meaning": named_meaning(logits[0], names),
        },
        "text_encoder": {"meaning": sentence, "words": sentence},
        "classifier": {"probabilities": np.exp(logits[0]) / np.exp(logits[0]).sum()},
    }
    return {role: {name: _largest(values) for name, values in parts.items()} for role, parts in outputs.items()}


def _largest(values: Floats) -> dict[str, float]:
    places = np.sort(np.argsort(-np.abs(values))[: verification.KEPT])
    return {str(place): round(float(values[place]), 5) for place in places}


if __name__ == "__main__":
    path = Path(str(verification.figures_file()))
    path.write_text(json.dumps(make_figures(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path}: written\n")
