"""The bundle clip through the whole path: a tiny model with random weights behind Triton, indexed and asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sosie.client import Client
from sosie.local.stack import LocalStack
from stack_fixtures import DrawnShop, must_sosie
from tiny_clip import write_multilingual

pytestmark = pytest.mark.slow

PRODUCTS = 6


@dataclass(frozen=True)
class ServedClip:
    """The address of a gateway that serves a few drawn products, and the pictures that it holds."""

    gateway: str
    space: str
    pictures: tuple[Path, ...]


@pytest.fixture(scope="module")
def served_clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedClip]:
    """A stack with a multilingual model: its tokens are padded with 1, its sentences cleaned."""
    work = tmp_path_factory.mktemp("clip")
    must_sosie("demo-shop", work / "shop", "--products", PRODUCTS, "--views", 2)
    shop = DrawnShop(work / "shop")
    built = must_sosie(
        "models", "build", "clip", "--model-folder", write_multilingual(work / "tiny"), "--random",
        "--repository", work / "models",
    )  # fmt: skip
    with LocalStack(work / "models", work / "state") as stack:
        addresses = stack.addresses
        must_sosie(
            "index", shop.catalog, "--images", shop.images, "--store", addresses["store"],
            "--triton", addresses["triton"], "--models", work / "models",
        )  # fmt: skip
        yield ServedClip(
            addresses["gateway"],
            built.splitlines()[-1].removeprefix("embedding space "),
            tuple(shop.images / path for path in sorted(shop.truth)),
        )


@pytest.fixture
def clip(served_clip: ServedClip) -> Iterator[Client]:
    with Client(served_clip.gateway, timeout=30) as opened:
        yield opened


def test_a_picture_finds_itself(served_clip: ServedClip, clip: Client) -> None:
    """A picture of the index comes first, as similar as can be, by look and colour; uncalibrated, that is its score."""
    result = clip.search_by_image(served_clip.pictures[0], explain=True)

    assert result.space.name == served_clip.space
    assert result.hits[0].similarity == pytest.approx(1, abs=1e-3)
    assert result.hits[0].score == result.hits[0].similarity
    assert {share.part for share in result.hits[0].shares} == {"look", "colour"}


def test_a_sentence_is_answered(served_clip: ServedClip, clip: Client) -> None:
    """Sentences in two languages are compared with pictures and with words."""
    for sentence in ("a striped sweater", "полосатый свитер"):
        result = clip.search_by_text(sentence, weights={"words": 1, "look": 0}, top_k=PRODUCTS)
        assert len(result.hits) == PRODUCTS
        assert clip.search_by_text(sentence).space.name == served_clip.space


def test_free_labels_are_scored(served_clip: ServedClip, clip: Client) -> None:
    """The caller's labels are scored by their sentences, to a sum of 1."""
    (scored,) = clip.classify(served_clip.pictures[0], labels=["sweater", "shoe", "часы"]).classifications

    assert {label.label for label in scored.labels} == {"sweater", "shoe", "часы"}
    assert sum(label.score for label in scored.labels) == pytest.approx(1, abs=1e-4)
