"""What every Encoder promises, asked of the fake and of models behind a real Triton."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from fakes import FakeEncoder
from sosie.engine.inference import Encoder, Pictures, Tokens
from sosie.engine.space import Parts
from sosie.engine.triton import TritonModels

TIMEOUT = 10.0


@pytest.fixture(params=["fake", pytest.param("triton", marks=pytest.mark.slow)])
async def encoder(request: pytest.FixtureRequest) -> AsyncIterator[Encoder]:
    if request.param == "fake":
        yield FakeEncoder()
        return
    triton = request.getfixturevalue("encoder_triton")
    models = await TritonModels.connect(triton.grpc_address, timeout=TIMEOUT)
    yield models.encoders["tiny-1"]
    await models.close()


def draw_pictures(encoder: Encoder, count: int) -> Pictures:
    size = encoder.image_input.size
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def draw_tokens(count: int) -> Tokens:
    return np.random.default_rng(2).integers(2, 40, (count, 7), np.int64)


def assert_same(found: Parts, expected: Parts) -> None:
    assert set(found) == set(expected)
    for name, vectors in expected.items():
        np.testing.assert_allclose(found[name], vectors, atol=1e-5)


@pytest.mark.parametrize("count", [1, 4, 11])
async def test_parts_of_the_space(encoder: Encoder, count: int) -> None:
    """Pictures and sentences give float32 vectors of unit length in parts of the space, for any number of them."""
    sizes = {part.name: part.size for part in encoder.space.parts}
    pictures = await encoder.encode_images(draw_pictures(encoder, count), timeout=TIMEOUT)
    texts = await encoder.encode_texts(draw_tokens(count), timeout=TIMEOUT)
    assert set(pictures) | set(texts) == set(sizes)
    assert encoder.space.label_part in set(pictures) & set(texts)
    for parts in (pictures, texts):
        for name, vectors in parts.items():
            assert vectors.dtype == np.float32
            assert vectors.shape == (count, sizes[name])
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


async def test_batches_change_nothing(encoder: Encoder) -> None:
    """An input's vectors do not depend on what else is in its batch."""
    pictures, tokens = draw_pictures(encoder, 9), draw_tokens(9)
    seen = await encoder.encode_images(pictures, timeout=TIMEOUT)
    read = await encoder.encode_texts(tokens, timeout=TIMEOUT)
    for i in (0, 3, 8):
        one = slice(i, i + 1)
        assert_same(
            await encoder.encode_images(pictures[one], timeout=TIMEOUT), {name: v[one] for name, v in seen.items()}
        )
        assert_same(
            await encoder.encode_texts(tokens[one], timeout=TIMEOUT), {name: v[one] for name, v in read.items()}
        )


async def test_the_same_again(encoder: Encoder) -> None:
    """The same input gives the same vectors, and another one others."""
    pictures, tokens = draw_pictures(encoder, 2), draw_tokens(2)
    seen = await encoder.encode_images(pictures, timeout=TIMEOUT)
    read = await encoder.encode_texts(tokens, timeout=TIMEOUT)
    assert_same(await encoder.encode_images(pictures, timeout=TIMEOUT), seen)
    assert_same(await encoder.encode_texts(tokens, timeout=TIMEOUT), read)
    assert not np.allclose(seen["look"][0], seen["look"][1], atol=1e-3)
    assert not np.allclose(read["words"][0], read["words"][1], atol=1e-3)


async def test_padding_says_nothing(encoder: Encoder) -> None:
    """More padding behind a sentence leaves its vectors as they are."""
    tokens = draw_tokens(3)
    padded = np.pad(tokens, ((0, 0), (0, 5)))
    expected = await encoder.encode_texts(tokens, timeout=TIMEOUT)
    assert_same(await encoder.encode_texts(padded, timeout=TIMEOUT), expected)
