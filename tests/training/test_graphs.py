"""The graphs compute what the networks compute in torch, and what the parts are in numpy."""

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from sosie.engine.inference import Pictures
from sosie.training import mini, parts, reference
from sosie.training.heads import Floats
from sosie.training.repository import GRAPH, Model
from sosie.training.sentences import encode_sentences
from sosie.training.sessions import open_session

pytestmark = pytest.mark.slow

LEAST = 0.9999
SENTENCES = (
    "a striped sweater",
    "a",
    " ",
    "",
    "?!",
    "Größe 42, schwarz – wasserdicht (GORE-TEX®)",
    "赤い革のハンドバッグ",
    "👟👟👟",
    "\u202eright to left\u202c \x00 \t tabs",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "women's running shoe, light grey with a white sole and reflective laces, for narrow feet. " * 12,
)


@pytest.fixture(scope="module", params=["drawn", "photos"])
def pictures(request: pytest.FixtureRequest) -> Pictures:
    """The drawn pictures, then the photographs."""
    found: Pictures = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def truth(sources: mini.Sources, pictures: Pictures) -> tuple[Floats, Floats]:
    """Features and logits of the pictures in torch."""
    return reference.picture_features(sources.image, pictures)


@pytest.fixture(scope="module")
def encoder(models: dict[str, Model]) -> onnxruntime.InferenceSession:
    """The image encoder."""
    return open_session(models["image_encoder"].files[GRAPH])


@pytest.fixture(scope="module")
def sentence_truth(sources: mini.Sources) -> Floats:
    """The vectors of SENTENCES in torch."""
    return reference.sentence_vectors(sources.text, sources.tokenizer, SENTENCES)


def cosines(one: npt.ArrayLike, other: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The cosine of each pair of rows."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return np.asarray((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1))


def lengths(vectors: Floats) -> list[float]:
    """The length of each row."""
    return [float(np.linalg.norm(vector)) for vector in vectors]


def test_features(sources: mini.Sources, pictures: Pictures, truth: tuple[Floats, Floats]) -> None:
    """The bare tower gives the reference network's pooled features."""
    session = open_session(mini.features_graph(sources).model().SerializeToString())

    assert cosines(session.run(["features"], {"image": pictures})[0], truth[0]).min() >= LEAST


def test_probabilities(models: dict[str, Model], pictures: Pictures, truth: tuple[Floats, Floats]) -> None:
    """The classifier gives the reference network's logits, as probabilities that sum to 1."""
    (found,) = open_session(models["classifier"].files[GRAPH]).run(["probabilities"], {"image": pictures})

    logits = np.log(found) - np.log(found).mean(1, keepdims=True)
    assert cosines(logits, truth[1] - truth[1].mean(1, keepdims=True)).min() >= LEAST
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_look(
    sources: mini.Sources, encoder: onnxruntime.InferenceSession, pictures: Pictures, truth: tuple[Floats, Floats]
) -> None:
    """The look part is the whitened features of the reference network."""
    (found,) = encoder.run(["look"], {"image": pictures})
    image = sources.image
    statistics = parts.look_statistics(image["_bn1.weight"], image["_bn1.bias"], image["_fc.weight"])

    assert cosines(found, parts.look(truth[0], *statistics)).min() >= LEAST
    assert lengths(found) == pytest.approx([1] * len(pictures), abs=1e-5)


def test_colour(encoder: onnxruntime.InferenceSession, pictures: Pictures) -> None:
    """The colour part is the histogram that numpy computes step by step."""
    (found,) = encoder.run(["colour"], {"image": pictures})

    assert cosines(found, parts.colour(pictures)).min() >= LEAST
    assert lengths(found) == pytest.approx([1] * len(pictures), abs=1e-5)


def test_meaning(
    encoder: onnxruntime.InferenceSession, pictures: Pictures, truth: tuple[Floats, Floats], class_names: Floats
) -> None:
    """The meaning of a picture is the weighted mean of its ten most probable classes' sentence vectors."""
    (found,) = encoder.run(["meaning"], {"image": pictures})
    probabilities = np.exp(truth[1]) / np.exp(truth[1]).sum(1, keepdims=True)

    assert cosines(found, parts.class_meaning(probabilities, class_names)).min() >= LEAST
    assert lengths(found) == pytest.approx([1] * len(pictures), abs=1e-5)


def test_batches(encoder: onnxruntime.InferenceSession, drawn: Pictures) -> None:
    """A picture's parts do not depend on the pictures that share its batch."""
    names = [output.name for output in encoder.get_outputs()]
    together = encoder.run(names, {"image": drawn})

    for place in (0, 5, 8):
        alone = encoder.run(names, {"image": drawn[place : place + 1]})
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], many[place], atol=2e-4)


@pytest.mark.parametrize("part", ["words", "meaning"])
def test_sentences(models: dict[str, Model], sources: mini.Sources, sentence_truth: Floats, part: str) -> None:
    """Sentences, long, empty or in any script, have the reference network's vectors, whatever they are padded to."""
    found = encode_sentences(models["text_encoder"].files[GRAPH], sources.tokenizer, SENTENCES, output=part)

    assert cosines(found, sentence_truth).min() >= LEAST
    assert lengths(found) == pytest.approx([1] * len(SENTENCES), abs=1e-5)


def test_rows_without_tokens(models: dict[str, Model]) -> None:
    """A row of padding alone, as a warm-up sends it, gives the zero vector and disturbs no other row."""
    session = open_session(models["text_encoder"].files[GRAPH])
    tokens = np.array([[101, 2417, 6007, 102], [0, 0, 0, 0]], np.int64)

    both, alone = (session.run(["words"], {"tokens": rows})[0] for rows in (tokens, tokens[:1]))

    np.testing.assert_array_equal(both[1], np.zeros(384, np.float32))
    np.testing.assert_allclose(both[0], alone[0], atol=1e-5)
