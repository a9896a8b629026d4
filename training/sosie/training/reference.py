"""The networks in torch, as their authors define them: what the graphs are compared with.

Needs the dependency group `reference`, and is used by tests and by the script that makes the figures of
`verification`; building a bundle needs neither.
"""

import sosie.training.torchvision_on_cpu  # noqa: F401  # first: transformers imports torchvision where it is there

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from transformers import BertConfig, BertModel

from sosie.engine.inference import Pictures
from sosie.training import imagenet, mini, parts, verification
from sosie.training.checkpoints import Arrays
from sosie.training.heads import Floats
from sosie.training.sentences import open_tokenizer


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


def make_figures() -> dict[str, dict[str, dict[str, float]]]:
    """What `verification` compares with: by role and output, the largest numbers by their places."""
    sources = mini.read_sources(None, print)
    picture = verification.draw_picture()
    features, logits = picture_features(sources.image, picture)
    (sentence,) = sentence_vectors(sources.text, sources.tokenizer, [verification.SENTENCE])
    names = imagenet.name_vectors(partial(sentence_vectors, sources.text, sources.tokenizer))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    image = sources.image
    statistics = parts.look_statistics(image["_bn1.weight"], image["_bn1.bias"], image["_fc.weight"])
    outputs = {
        "image_encoder": {
            "look": parts.look(features, *statistics)[0],
            "colour": parts.colour(picture)[0],
            "meaning": parts.class_meaning(probabilities, names)[0],
        },
        "text_encoder": {"meaning": sentence, "words": sentence},
        "classifier": {"probabilities": probabilities[0]},
    }
    return {role: {name: _largest(vector) for name, vector in named.items()} for role, named in outputs.items()}


def _largest(values: Floats) -> dict[str, float]:
    places = np.sort(np.argsort(-np.abs(values))[: verification.KEPT])
    return {str(place): round(float(values[place]), 5) for place in places}


if __name__ == "__main__":
    path = Path(str(verification.figures_file()))
    path.write_text(json.dumps(make_figures(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path}: written\n")
